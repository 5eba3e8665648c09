//! Where the repository and its build folder are, and which source files it holds.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::{self, Cargo};

/// Folders that hold nothing written by us.
const SKIPPED_FOLDERS: [&str; 5] = [".git", "target", "node_modules", "pmsgate-data", "__pycache__"];

/// The repository this task runs in.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// The part of `cargo metadata` that is read here.
#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

impl Workspace {
    /// Asks Cargo where the workspace and its target folder are.
    pub(crate) fn open() -> Result<Self> {
        let manifest_folder =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let mut metadata = Cargo::new(Path::new(&manifest_folder)).command();
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let printed = command::stdout_of(&mut metadata)?;
        let metadata: Metadata =
            serde_json::from_str(&printed).context("`cargo metadata` is not understood")?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }

    /// The folder of the root manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A folder of ours inside the build folder; made when absent.
    pub(crate) fn build_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("xtask").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Cargo, run in the root folder.
    pub(crate) fn cargo(&self) -> Cargo {
        Cargo::new(&self.root)
    }

    /// Every file written by us, as paths relative to the root, sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
                let entry = entry?;
                let kind = entry.file_type()?;
                let path = entry.path();
                if kind.is_dir() {
                    if path != self.target && !is_skipped(&entry.file_name()) {
                        folders.push(path);
                    }
                } else if kind.is_file() {
                    found.push(path.strip_prefix(&self.root).unwrap_or(&path).to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The text of a file given relative to the root.
    pub(crate) fn read(&self, path: &Path) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn is_skipped(name: &OsStr) -> bool {
    SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped)
}
