//! `pmsgate clock …`: a sandbox's clock, moved while the server runs.

use anyhow::Result;
use authz_domain::Actor;
use authz_server::ClockView;
use config::ClockOffset;
use serde_json::{Value, json};
use time::Duration;

use super::{iso, print};
use crate::{
    House,
    cli::{ClockCommand, Common},
};

const COLUMNS: &[&str] = &["now", "offset", "moved_by"];

pub(super) async fn run(common: &Common, command: ClockCommand) -> Result<()> {
    let acts = House::open(common)?.use_cases().await?;
    let view = match command {
        ClockCommand::Show => acts.show_clock().await?,
        ClockCommand::Set { offset } => {
            acts.move_clock(Actor::Operator, Some(Duration::seconds(offset.seconds))).await?
        }
        ClockCommand::Reset => acts.move_clock(Actor::Operator, None).await?,
    };
    print(common, shown(&view), COLUMNS)
}

fn shown(view: &ClockView) -> Value {
    let seconds = view.offset.whole_seconds();
    let moved_by = match (view.by_command, seconds) {
        (true, _) => Some("command"),
        (false, 0) => None,
        (false, _) => Some("configuration"),
    };
    json!({ "now": iso(view.now), "offset": offset(seconds), "moved_by": moved_by })
}

/// Whole days as days, as they are typed; anything else in its parts.
pub(super) fn offset(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    if seconds % DAY == 0 { format!("{:+}d", seconds / DAY) } else { ClockOffset { seconds }.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_shown_as_it_can_be_typed() {
        for (seconds, shown) in [(0, "+0d"), (729 * 86_400, "+729d"), (-86_400, "-1d"), (3600, "+1h")] {
            assert_eq!(offset(seconds), shown);
            assert_eq!(shown.parse(), Ok(ClockOffset { seconds }));
        }
    }
}
