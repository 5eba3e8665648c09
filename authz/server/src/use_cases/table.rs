//! CSV as people export it from spreadsheets (RFC 4180): quotes, line breaks in quotes, a byte order mark.

/// Splits CSV text into records with the line each begins on. A quote that never closes is an error at its line.
pub(super) fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let (mut line, mut begins_on) = (1, 1);
    let mut quoted_since = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\n' {
            line += 1;
        }
        match (character, quoted_since) {
            ('"', Some(_)) if characters.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', Some(_)) => quoted_since = None,
            ('"', None) if field.is_empty() => quoted_since = Some(line),
            (',', None) => record.push(std::mem::take(&mut field)),
            ('\r', None) if characters.peek() == Some(&'\n') => {}
            ('\n', None) => {
                record.push(std::mem::take(&mut field));
                finish(&mut records, begins_on, std::mem::take(&mut record));
                begins_on = line;
            }
            (other, _) => field.push(other),
        }
    }
    if let Some(line) = quoted_since {
        return Err(line);
    }
    record.push(field);
    finish(&mut records, begins_on, record);
    Ok(records)
}

/// Keeps a record unless it is an empty line.
fn finish(records: &mut Vec<(usize, Vec<String>)>, line: usize, record: Vec<String>) {
    if record.iter().any(|field| !field.trim().is_empty()) {
        records.push((line, record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_breaks_and_empty_lines_are_understood() {
        let text = "\u{feff}id,name\r\n1,\"Fable, \"\"Pharma\"\"\nB.V.\"\n\n2,x";
        let read = records(text).unwrap();
        assert_eq!(read[0], (1, vec!["id".to_owned(), "name".to_owned()]));
        assert_eq!(read[1], (2, vec!["1".to_owned(), "Fable, \"Pharma\"\nB.V.".to_owned()]));
        assert_eq!(read[2], (5, vec!["2".to_owned(), "x".to_owned()]));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn an_open_quote_names_its_line() {
        assert_eq!(records("a,b\n1,\"x\n2,y\n"), Err(2));
    }
}
