//! Scopes: SMART App Launch v2 system scopes (`system/MedicinalProductDefinition.rs`, `system/*.cruds`), and the few
//! words of the administration API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// One permission letter (SMART App Launch 2.0, "Scopes for requesting FHIR Resources").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `c`
    Create,
    /// `r`: read, vread, instance history.
    Read,
    /// `u`
    Update,
    /// `d`
    Delete,
    /// `s`: search, type history.
    Search,
}

impl Permission {
    /// All, in the order in which a scope writes them.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    /// The letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of permission letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permissions(u8);

impl Permissions {
    /// The set without members.
    pub const NONE: Self = Self(0);

    /// Whether `permission` is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// The set with `permission`.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Permission::ALL
            .into_iter()
            .filter(|p| self.contains(*p))
            .try_for_each(|p| write!(f, "{}", p.letter()))
    }
}

impl FromStr for Permissions {
    type Err = ();

    /// Letters in the order `cruds`, each at most once, at least one.
    fn from_str(letters: &str) -> Result<Self, ()> {
        let mut rest = Permission::ALL.into_iter();
        let mut set = Self::NONE;
        for letter in letters.chars() {
            set = set.with(rest.find(|p| p.letter() == letter).ok_or(())?);
        }
        if set == Self::NONE { Err(()) } else { Ok(set) }
    }
}

/// Which resource types a scope speaks of. `*` sorts first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourcePattern {
    /// `*`
    Any,
    /// One resource type by name.
    Named(String),
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// One scope: `system/{resource}.{permissions}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemScope {
    /// Which resource types.
    pub resource: ResourcePattern,
    /// What may be done with them.
    pub permissions: Permissions,
}

impl fmt::Display for SystemScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system/{}.{}", self.resource, self.permissions)
    }
}

impl FromStr for SystemScope {
    type Err = MalformedScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedScope(text.chars().take(100).collect());
        let (resource, letters) =
            text.strip_prefix("system/").and_then(|rest| rest.rsplit_once('.')).ok_or_else(malformed)?;
        let resource = match resource {
            "*" => ResourcePattern::Any,
            name if is_type_name(name) => ResourcePattern::Named(name.to_owned()),
            _ => return Err(malformed()),
        };
        Ok(Self { resource, permissions: letters.parse().map_err(|()| malformed())? })
    }
}

fn is_type_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A text that is no SMART v2 system scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a system scope: expected system/ResourceType.letters or system/*.letters, letters in the order cruds"
)]
pub struct MalformedScope(pub String);

/// What a token may be used for at the administration API. Tokens with such a scope are for that API alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdministrationScope {
    /// Give oneself a new secret. Every client may have it.
    RotateOwnSecret,
    /// Look at clients, their secrets, and what expires.
    ReadClients,
    /// Make, change, rotate and end clients.
    WriteClients,
    /// Look at requests for access.
    ReadRequests,
}

impl AdministrationScope {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RotateOwnSecret, Self::ReadClients, Self::WriteClients, Self::ReadRequests];

    /// The word in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RotateOwnSecret => "client.rotate",
            Self::ReadClients => "clients.read",
            Self::WriteClients => "clients.write",
            Self::ReadRequests => "requests.read",
        }
    }
}

impl FromStr for AdministrationScope {
    type Err = MalformedScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| MalformedScope(text.chars().take(100).collect()))
    }
}

/// A set of scopes in a fixed order: system scopes, one entry a resource pattern, then those of the administration API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    system: BTreeMap<ResourcePattern, Permissions>,
    administration: BTreeSet<AdministrationScope>,
}

impl Scope {
    /// Reads scopes separated by single spaces (RFC 6749 §3.3). The same resource twice adds up.
    pub fn parse(text: &str) -> Result<Self, MalformedScope> {
        let mut set = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word.parse() {
                Ok(administration) => {
                    set.administration.insert(administration);
                }
                Err(_) => set.add(word.parse()?),
            }
        }
        Ok(set)
    }

    fn add(&mut self, scope: SystemScope) {
        let entry = self.system.entry(scope.resource).or_default();
        *entry = entry.union(scope.permissions);
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.system.is_empty() && self.administration.is_empty()
    }

    /// Whether there is something of the administration API in it.
    pub fn administers(&self) -> bool {
        !self.administration.is_empty()
    }

    /// Whether this of the administration API is in it.
    pub fn permits_administration(&self, scope: AdministrationScope) -> bool {
        self.administration.contains(&scope)
    }

    /// With one more of the administration API.
    #[must_use]
    pub fn with_administration(mut self, scope: AdministrationScope) -> Self {
        self.administration.insert(scope);
        self
    }

    /// Whether `permission` on `resource_type` is in it.
    pub fn permits(&self, permission: Permission, resource_type: &str) -> bool {
        self.system.iter().any(|(pattern, permissions)| {
            permissions.contains(permission)
                && match pattern {
                    ResourcePattern::Any => true,
                    ResourcePattern::Named(name) => name == resource_type,
                }
        })
    }

    /// Whether everything in it is also in `allowed`.
    pub fn is_subset_of(&self, allowed: &Self) -> bool {
        let any = allowed.system.get(&ResourcePattern::Any).copied().unwrap_or_default();
        let system = self.system.iter().all(|(pattern, wished)| {
            let named = allowed.system.get(pattern).copied().unwrap_or_default();
            wished.is_subset_of(any.union(named))
        });
        system && self.administration.is_subset(&allowed.administration)
    }

    /// The single system scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = SystemScope> + '_ {
        self.system.iter().map(|(resource, permissions)| SystemScope {
            resource: resource.clone(),
            permissions: *permissions,
        })
    }
}

impl FromIterator<SystemScope> for Scope {
    fn from_iter<I: IntoIterator<Item = SystemScope>>(scopes: I) -> Self {
        let mut set = Self::default();
        scopes.into_iter().for_each(|scope| set.add(scope));
        set
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for scope in self.iter() {
            write!(f, "{space}{scope}")?;
            space = " ";
        }
        for scope in &self.administration {
            write!(f, "{space}{}", scope.as_str())?;
            space = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn letters_stand_in_their_order_and_at_least_one() {
        for wrong in [
            "system/X.",
            "system/X.sr",
            "system/X.rr",
            "system/X.x",
            "system/.r",
            "user/X.r",
            "system/X",
            "system/x.r",
            "X.r",
            "system/X/Y.r",
        ] {
            assert!(Scope::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(scope("system/*.cruds").to_string(), "system/*.cruds");
    }

    #[test]
    fn the_same_resource_twice_adds_up_and_the_order_is_fixed() {
        assert_eq!(scope("system/B.r system/A.s system/B.s").to_string(), "system/A.s system/B.rs");
    }

    #[test]
    fn a_wildcard_covers_a_name_and_never_the_other_way() {
        assert!(scope("system/A.rs").is_subset_of(&scope("system/*.rs")));
        assert!(!scope("system/*.r").is_subset_of(&scope("system/A.cruds")));
        assert!(!scope("system/A.u").is_subset_of(&scope("system/*.rs")));
        assert!(scope("system/A.rus").is_subset_of(&scope("system/*.rs system/A.u")));
        assert!(scope("system/*.r").permits(Permission::Read, "Anything"));
        assert!(!scope("system/A.r").permits(Permission::Read, "B"));
    }

    #[test]
    fn a_scope_of_the_administration_api_is_covered_by_itself_only() {
        let mixed = scope("clients.read system/*.rs client.rotate");
        assert_eq!(mixed.to_string(), "system/*.rs client.rotate clients.read");
        assert!(mixed.administers() && mixed.permits_administration(AdministrationScope::ReadClients));
        assert!(!scope("clients.read").is_subset_of(&scope("system/*.cruds")));
        assert!(!scope("clients.write").is_subset_of(&scope("clients.read")));
        assert!(!scope("system/*.cruds").administers());
        assert!(Scope::parse("clients.delete").is_err());
        let own = scope("").with_administration(AdministrationScope::RotateOwnSecret);
        assert_eq!(own, scope("client.rotate"));
        assert!(!own.is_empty() && !own.permits(Permission::Read, "Anything"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()).unwrap(), scope);
            }
        }

        #[test]
        fn a_subset_permits_nothing_more(a in "(system/(A|B|\\*)\\.c?r?u?d?s ){0,3}(clients\\.read)?", b in "(system/(A|B|\\*)\\.c?r?u?d?s ){0,3}(clients\\.read)?") {
            let (a, b) = (scope(&a), scope(&b));
            if a.is_subset_of(&b) {
                for permission in Permission::ALL {
                    for name in ["A", "B", "C"] {
                        prop_assert!(!a.permits(permission, name) || b.permits(permission, name));
                    }
                }
                prop_assert!(!a.administers() || b.permits_administration(AdministrationScope::ReadClients));
            }
        }
    }
}
