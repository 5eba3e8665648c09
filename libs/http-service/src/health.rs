//! Health: which parts are there, and which is not ready and why.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The parts of a program and their state. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>);

impl Health {
    /// Adds a part, not ready yet.
    pub fn register(&self, part: &'static str) -> PartHealth {
        self.parts().insert(part, Err("starting".to_owned()));
        PartHealth { part, health: self.clone() }
    }

    /// What is not ready, and why. Empty when everything is.
    pub fn troubles(&self) -> Vec<(&'static str, String)> {
        self.parts().iter().filter_map(|(part, state)| Some((*part, state.as_ref().err()?.clone()))).collect()
    }

    /// Every part and whether it is ready.
    pub fn states(&self) -> Vec<(&'static str, Result<(), String>)> {
        self.parts().iter().map(|(part, state)| (*part, state.clone())).collect()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Result<(), String>>> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part's own handle.
#[derive(Clone, Debug)]
pub struct PartHealth {
    part: &'static str,
    health: Health,
}

impl PartHealth {
    /// The part answers.
    pub fn ready(&self) {
        self.health.parts().insert(self.part, Ok(()));
    }

    /// The part does not, for this reason.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.health.parts().insert(self.part, Err(reason.into()));
    }
}
