//! The place of an element in a resource, put into words only when somebody wants to read it.

use std::fmt;

/// The last step of a path, and those above it where they stand: taking a step costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    /// The resource at the top.
    Resource(&'p str),
    /// A resource that stands in an element.
    Inner(&'p str),
    /// An element, and which of several.
    Element { property: Property<'p>, index: Option<usize> },
}

/// The name of a JSON property.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property<'p> {
    pub(crate) name: &'p str,
    /// `_name`: what stands beside a primitive (FHIR "json").
    pub(crate) companion: bool,
}

impl<'p> From<&'p str> for Property<'p> {
    fn from(name: &'p str) -> Self {
        Self { name, companion: false }
    }
}

impl<'p> Path<'p> {
    /// The path of a resource of this type, inside the element at `above` if any.
    pub(crate) const fn of_resource(above: Option<&'p Self>, name: &'p str) -> Self {
        let step = if above.is_some() { Step::Inner(name) } else { Step::Resource(name) };
        Self { above, step }
    }

    /// The path of a property of the object here, or of one of its items.
    pub(crate) fn step(&'p self, property: impl Into<Property<'p>>, index: Option<usize>) -> Self {
        Self { above: Some(self), step: Step::Element { property: property.into(), index } }
    }

    /// The same without indices: `RegulatedAuthorization.subject`.
    pub(crate) fn element(&self) -> impl fmt::Display {
        fmt::from_fn(|f| self.write(f, false))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indices: bool) -> fmt::Result {
        if let Some(above) = self.above {
            above.write(f, indices)?;
        }
        match self.step {
            Step::Resource(name) => f.write_str(name),
            Step::Inner(name) => write!(f, "{{{name}}}"),
            Step::Element { property: Property { name, companion }, index } => {
                f.write_str(if companion { "._" } else { "." })?;
                f.write_str(name)?;
                index.filter(|_| indices).map_or(Ok(()), |index| write!(f, "[{index}]"))
            }
        }
    }
}

/// With indices: `Ingredient.substance.strength[0]`, `Ingredient.contained[0]{Organization}.name`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_it_was_walked() {
        let root = Path::of_resource(None, "Ingredient");
        let contained = root.step("contained", Some(2));
        let inner = Path::of_resource(Some(&contained), "Organization");
        let name = inner.step(Property { name: "name", companion: true }, None);
        assert_eq!(name.to_string(), "Ingredient.contained[2]{Organization}._name");
        assert_eq!(contained.element().to_string(), "Ingredient.contained");
    }
}
