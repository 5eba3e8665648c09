//! `pmsgate database backup|restore`: both databases in one file, and back again.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use database::{CopyError, Database, MigrationStatus};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use time::macros::format_description;

use super::bar;
use crate::{
    House,
    house::{Which, make_private_file},
};

/// Writes both databases into one new file. It appears under its name when it is whole.
pub(super) async fn take(house: &House, file: &Path) -> Result<Value> {
    if file.exists() {
        bail!("{} is there already: name a new file", file.display());
    }
    let stored: Vec<_> = Which::ALL.into_iter().filter(|which| house.has_database(*which)).collect();
    if stored.is_empty() {
        bail!("{} holds no database yet: there is nothing to copy", house.data_dir.display());
    }
    let folder = folder_of(file);
    let room = TempDir::with_prefix_in(".pmsgate-backup-", folder)
        .with_context(|| format!("nothing can be written into {}", folder.display()))?;
    let mut copies = Vec::new();
    for which in stored {
        let copy = room.path().join(which.file());
        make_private_file(&copy)?;
        // SQLite writes into an empty file as into a new one.
        let copied = house.connect(which).await?.copy_into(&copy).await;
        copied.map_err(|error| advised(error, file)).with_context(|| format!("copying {}", which.name()))?;
        copies.push((which, fs::metadata(&copy)?.len(), copy));
    }
    let whole = NamedTempFile::new_in(room.path())?;
    let bar = bar(copies.iter().map(|(_, bytes, _)| bytes).sum());
    let mut archive = tar::Builder::new(whole);
    for (which, bytes, copy) in &copies {
        bar.set_message(which.file());
        let mut header = tar::Header::new_gnu();
        header.set_size(*bytes);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(house.clock.now().unix_timestamp()).unwrap_or(0));
        archive.append_data(&mut header, which.file(), bar.wrap_read(File::open(copy)?))?;
    }
    let mut written = archive.into_inner()?;
    written.flush()?;
    written.as_file().sync_all()?;
    // Not over a file that came in the meantime.
    written.persist_noclobber(file).with_context(|| format!("{} cannot be written", file.display()))?;
    File::open(folder)?.sync_all()?;
    bar.finish_and_clear();
    let row = |(which, bytes, _): &(Which, u64, PathBuf)| json!({"database": which.file(), "bytes": bytes, "file": file.display().to_string()});
    Ok(copies.iter().map(row).collect())
}

/// Puts the databases of a backup in place of those of the house, once all of them are known to be good.
pub(super) async fn restore(house: &House, file: &Path) -> Result<Value> {
    let Some(authz) = house.database_file(Which::Authz) else {
        return Err(advised(CopyError::Postgres, file));
    };
    let source = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let bar = bar(source.metadata()?.len());
    // Beside the databases, which may be elsewhere than the data folder: moved into their places, not copied.
    let folder = folder_of(&authz);
    let room = TempDir::with_prefix_in(".restoring-", folder)
        .with_context(|| format!("nothing can be written into {}", folder.display()))?;
    let mut archive = tar::Archive::new(bar.wrap_read(BufReader::new(source)));
    let foreign = || format!("{} is not a file that `database backup` wrote", file.display());
    for entry in archive.entries().with_context(foreign)? {
        let mut entry = entry.with_context(foreign)?;
        let path = entry.path().with_context(foreign)?.into_owned();
        let known = Which::ALL.into_iter().find(|which| Path::new(which.file()) == path);
        let Some(which) = known.filter(|_| entry.header().entry_type().is_file()) else {
            bail!("{}: it holds {}", foreign(), path.display());
        };
        bar.set_message(which.file());
        let copy = room.path().join(which.file());
        if copy.exists() {
            bail!("{}: it holds {} twice", foreign(), which.file());
        }
        make_private_file(&copy)?;
        std::io::copy(&mut entry, &mut OpenOptions::new().append(true).open(&copy)?).with_context(foreign)?;
    }
    bar.finish_and_clear();
    let mut restored = Vec::new();
    for which in Which::ALL {
        let copy = room.path().join(which.file());
        if let Some(place) = house.database_file(which).filter(|_| copy.exists()) {
            let inspected = inspect(house, which, &copy).await;
            inspected.with_context(|| format!("{} of {}", which.file(), file.display()))?;
            restored.push((which, copy, place));
        }
    }
    if restored.is_empty() {
        bail!("{}: it holds no database", foreign());
    }
    let moment =
        house.clock.now().format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
    let mut rows = Vec::new();
    for (which, _, place) in &restored {
        let log = PathBuf::from(format!("{}-wal", place.display()));
        if place.exists() {
            let laid_aside = house.connect(*which).await?.lay_aside().await;
            laid_aside.map_err(|error| advised(error, place))?;
        } else if log.exists() {
            // SQLite would play it into the database that comes.
            bail!("{} is the log of a database that is gone: move it away", log.display());
        }
    }
    for (which, copy, place) in restored {
        File::open(&copy)?.sync_all()?;
        let aside = PathBuf::from(format!("{}.replaced-{moment}", place.display()));
        let replaced = place.exists();
        if replaced {
            // A second name, so that at no instant there is no database: a server would make an empty one.
            fs::hard_link(&place, &aside).with_context(|| format!("{} cannot be kept", aside.display()))?;
        }
        let bytes = fs::metadata(&copy)?.len();
        fs::rename(&copy, &place)?;
        let replaced = replaced.then(|| aside.display().to_string());
        rows.push(json!({"database": which.file(), "bytes": bytes, "replaced": replaced}));
    }
    File::open(folder)?.sync_all()?;
    Ok(rows.into())
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether an unpacked database is whole, of a program no newer than this one, and sealed with this house's master key.
async fn inspect(house: &House, which: Which, copy: &Path) -> Result<()> {
    let database = Database::connect(&format!("sqlite://{}", copy.display()), 1).await?;
    database.check_pages().await?;
    let MigrationStatus { applied, pending } = match which {
        Which::Authz => authz_server::migration_status(&database).await?,
        Which::Products => fhir_store::migration_status(&database).await?,
    };
    if applied.is_empty() {
        bail!("nothing was ever stored in it");
    }
    if which == Which::Authz && pending.is_empty() {
        house.check_master_key(&database).await?;
    }
    Ok(database.lay_aside().await?)
}

/// What to do about a copy that cannot be made or put in place.
fn advised(error: CopyError, file: &Path) -> anyhow::Error {
    let advice = match &error {
        CopyError::Postgres => format!(
            "use `pg_dump --format=custom --file={} DATABASE_URL` while the server runs, and `pg_restore --clean` to go \
             back; the master key is not in it",
            file.display()
        ),
        CopyError::InUse => "stop the server, and try again".to_owned(),
        CopyError::Damaged(_) => "take another backup".to_owned(),
        CopyError::Database(_) => return error.into(),
    };
    anyhow::anyhow!("{error}: {advice}")
}
