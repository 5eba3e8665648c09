//! What a configuration and a data folder hold: settings, data files, keys, databases.

use std::{
    fs::{OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use authz_server::{AuthzKeys, AuthzSettings, UseCases};
use config::{ApiProducts, DataFiles, MasterKey, MasterKeyError, Purpose, Settings, TlsMode, WhenFull};
use database::Database;
use fhir_model::access::AccessMatrix;
use gateway::AuditSettings;
use http_service::Clock;
use time::Duration;

use crate::{cli::Common, development_ca};

/// An opened house: nothing runs yet.
#[derive(Clone, Debug)]
pub struct House {
    /// The configuration in force.
    pub settings: Settings,
    /// Routes, roles, the matrix's text.
    pub files: DataFiles,
    /// The access levels, compiled.
    pub matrix: Arc<AccessMatrix>,
    /// The folder for what is made here.
    pub data_dir: PathBuf,
    /// The key that others are derived from.
    pub master_key: MasterKey,
    /// The file that the master key was just made in.
    pub made_master_key: Option<PathBuf>,
    /// The house's time.
    pub clock: Clock,
}

impl House {
    /// Reads the configuration and the data files, and makes the data folder and the master key when they are missing.
    pub fn open(common: &Common) -> Result<Self> {
        let settings = Settings::load(common.config.as_deref())?;
        let (files, matrix) = read_data(&settings)?;
        development_ca::make_private_folder(&common.data_dir)?;
        let data_dir = common
            .data_dir
            .canonicalize()
            .with_context(|| format!("the folder {} cannot be used", common.data_dir.display()))?;
        let (master_key, made_master_key) = MasterKey::load_or_create(&data_dir)?;
        let clock = Clock::system();
        clock.set_offset(Duration::seconds(settings.sandbox_clock.seconds));
        Ok(Self { settings, files, matrix: Arc::new(matrix), data_dir, master_key, made_master_key, clock })
    }

    /// The authorization server's database, its schema up to date.
    pub async fn authz_database(&self) -> Result<Database> {
        let database = self.connect(Which::Authz).await?;
        authz_server::migrate(&database, self.clock.now())
            .await
            .context("the authorization server's schema")?;
        if self.settings.is_sandbox()
            && let Some(offset) = authz_server::sandbox_offset(&database).await?
        {
            self.clock.set_offset(offset);
        }
        self.check_master_key(&database).await?;
        Ok(database)
    }

    /// The file of a database on SQLite.
    pub(crate) fn database_file(&self, which: Which) -> Option<PathBuf> {
        let url = self.database_url(which);
        let path = url.strip_prefix("sqlite://").and_then(|rest| rest.split('?').next());
        path.map(PathBuf::from)
    }

    /// Refuses a master key that is not the database's: a client made under it could never sign in. One that was just
    /// made beside an older database is taken away again, so that it is not mistaken for the right one.
    pub(crate) async fn check_master_key(&self, database: &Database) -> Result<()> {
        let settings = self.authz_settings(&self.known_base_url())?;
        let acts = UseCases::new(settings, self.authz_keys(), database.clone(), self.clock.clone());
        if acts.knows_master_key().await? {
            return Ok(());
        }
        if let Some(path) = &self.made_master_key {
            std::fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        bail!(MasterKeyError::Wrong)
    }

    /// The products' database, its schema and index up to date.
    pub async fn products_database(&self) -> Result<Database> {
        let database = self.connect(Which::Products).await?;
        fhir_store::migrate(&database, self.clock.now()).await.context("the products' schema")?;
        fhir_store::ensure_current(&database, &self.matrix).await.context("the products' index")?;
        Ok(database)
    }

    /// One of the databases as it is.
    pub async fn connect(&self, which: Which) -> Result<Database> {
        if let Some(path) = self.database_file(which) {
            make_private_file(&path)?;
        }
        Database::connect(&self.database_url(which), self.settings.database.connections)
            .await
            .with_context(|| format!("{} cannot be opened", which.name()))
    }

    /// Whether a database is there already, as far as can be told without making it.
    pub fn has_database(&self, which: Which) -> bool {
        self.database_file(which).is_none_or(|path| path.exists())
    }

    /// Where a database is.
    pub fn database_url(&self, which: Which) -> String {
        match (&self.settings.database.url, which) {
            (None, which) => format!("sqlite://{}", self.data_dir.join(which.file()).display()),
            (Some(url), Which::Products) if url.starts_with("sqlite:") => {
                let path = Path::new(url.trim_start_matches("sqlite:").trim_start_matches("//"));
                format!("sqlite://{}", path.with_file_name(which.file()).display())
            }
            (Some(url), _) => url.clone(),
        }
    }

    /// The authorization server's settings for a public base URL.
    pub fn authz_settings(&self, base_url: &str) -> Result<AuthzSettings> {
        let mut settings = self.settings.clone();
        settings.mail.spool_dir.get_or_insert_with(|| self.data_dir.join("mail"));
        Ok(AuthzSettings::from_config(&settings, &self.files, base_url)?)
    }

    /// Whether mails are written into a folder that nobody looks at: a sandbox shows its own.
    pub(crate) fn mails_reach_nobody(&self) -> bool {
        self.settings.mail.host.is_none() && !self.settings.is_sandbox()
    }

    /// Where a gateway of this house keeps the record of who read what, if it keeps one.
    pub fn read_trail(&self) -> Option<AuditSettings> {
        let section = &self.settings.audit;
        section.reads.then(|| AuditSettings {
            folder: self.read_trail_folder(),
            key: self.master_key.derive(Purpose::ReadTrail),
            file_size: section.file_size,
            queue: section.queue,
            refuses_when_full: section.when_full == WhenFull::Refuse,
        })
    }

    /// The folder of the records of who read what.
    pub fn read_trail_folder(&self) -> PathBuf {
        self.settings.audit.reads_dir.clone().unwrap_or_else(|| self.data_dir.join("reads"))
    }

    /// The keys that the authorization server derives.
    pub fn authz_keys(&self) -> AuthzKeys {
        AuthzKeys::derive(&self.master_key)
    }

    /// The acts of the authorization server on its database, for commands.
    pub async fn use_cases(&self) -> Result<UseCases> {
        let settings = self.authz_settings(&self.known_base_url())?;
        // On the heap: every command waits for it.
        let database = Box::pin(self.authz_database()).await?;
        Ok(UseCases::new(settings, self.authz_keys(), database, self.clock.clone()))
    }

    /// The URL by which clients reach the public listener on `port`: the configured one, else this machine by name.
    pub fn base_url(&self, port: u16) -> String {
        base_url(&self.settings, port)
    }

    /// The URL by which clients reach the server of this data folder: the configured one, else the one that the last
    /// server here answered on (it may have been given another address on its command line), else the default one.
    pub fn known_base_url(&self) -> String {
        if self.settings.listen.base_url.is_none()
            && let Ok(text) = std::fs::read_to_string(self.base_url_file())
        {
            return text.trim().to_owned();
        }
        self.base_url(self.settings.listen.address.port())
    }

    /// Where a server notes the URL it answers on.
    pub fn base_url_file(&self) -> PathBuf {
        self.data_dir.join("base-url")
    }

    /// The right to say, in files of this folder, where its server answers. The first of several servers has it until
    /// it ends, however it ends; others leave those files alone. None for them.
    pub(crate) fn take_address_files(&self) -> Result<Option<std::fs::File>> {
        let path = self.data_dir.join("address.lock");
        make_private_file(&path)?;
        let lock = OpenOptions::new().append(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// The API products.
    pub fn products(&self) -> &ApiProducts {
        &self.files.products
    }
}

/// The URL by which clients reach a public listener on `port`: the configured one, else this machine by name.
pub(crate) fn base_url(settings: &Settings, port: u16) -> String {
    settings.listen.base_url.clone().unwrap_or_else(|| {
        let scheme = if settings.listen.tls == TlsMode::Off { "http" } else { "https" };
        format!("{scheme}://localhost:{port}")
    })
}

/// Reads the data files that the settings name and compiles the matrix.
pub(crate) fn read_data(settings: &Settings) -> Result<(DataFiles, AccessMatrix)> {
    let files = DataFiles::load(&settings.data)?;
    let matrix = AccessMatrix::parse(&files.access_levels.text, &files.access_levels.place)?;
    Ok((files, matrix))
}

/// The two databases of a house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Clients, secrets, keys, audit.
    Authz,
    /// Products and their index.
    Products,
}

impl Which {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Authz, Self::Products];

    /// For messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authz => "the authorization server's database",
            Self::Products => "the products' database",
        }
    }

    /// The name of its file, on SQLite.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Authz => "authz.db",
            Self::Products => "products.db",
        }
    }
}

/// Makes an empty file that only its owner can read, unless there is one. SQLite gives its side files the same mode.
pub(crate) fn make_private_file(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(())
}
