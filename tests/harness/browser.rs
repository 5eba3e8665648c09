//! A real browser for the portal: Chromium, its driver, and axe-core, which looks at every page that is visited.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver,
    common::capabilities::desiredcapabilities::CapabilitiesHelper as _,
};

/// A running driver. Its browsers go with it.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    port: u16,
}

/// One browser with a profile of its own: one person.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    base_url: String,
    axe: Option<String>,
    _profile: tempfile::TempDir,
}

/// Where `name` is installed, when it is.
fn installed(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Driver {
    /// Starts it. None where it is not installed; a set-up that calls itself complete must have it.
    pub fn start() -> Option<Self> {
        let Some((program, _)) = installed("chromedriver").zip(installed("chromium")) else {
            assert!(
                env::var_os("PMSGATE_TEST_COMPLETE").is_none(),
                "the set-up is complete but has no chromium"
            );
            println!(
                "NOT CHECKED: chromium and chromium-driver are not installed; `cargo xtask test` installs them"
            );
            return None;
        };
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim_end_matches('.').parse().unwrap();
            }
        };
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port })
    }

    /// A new browser on the portal at `base_url`.
    pub async fn browser(&self, base_url: &str) -> Browser {
        self.browser_with(base_url, None).await
    }

    /// The same, of somebody who prefers dark pages.
    pub async fn dark_browser(&self, base_url: &str) -> Browser {
        let browser = self.browser_with(base_url, Some("--blink-settings=preferredColorScheme=0")).await;
        let script = "return matchMedia('(prefers-color-scheme: dark)').matches;";
        let dark = browser.driver.execute(script, vec![]).await.unwrap();
        assert_eq!(*dark.json(), json!(true), "the browser does not ask for dark pages");
        browser
    }

    async fn browser_with(&self, base_url: &str, extra: Option<&str>) -> Browser {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1100,1200",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            wanted.add_arg(argument).unwrap();
        }
        if let Some(extra) = extra {
            wanted.add_arg(extra).unwrap();
        }
        wanted.accept_insecure_certs(true).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", self.port), wanted).await.unwrap();
        Browser { driver, base_url: base_url.to_owned(), axe: axe(), _profile: profile }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Fails only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text of axe-core, where the set-up installed it.
fn axe() -> Option<String> {
    let modules = env::var_os("PMSGATE_TEST_NODE_MODULES").map(PathBuf::from)?;
    Some(std::fs::read_to_string(modules.join("axe-core/axe.min.js")).unwrap())
}

/// The folder of screenshots in the build folder.
fn screenshots() -> PathBuf {
    let program = env::current_exe().unwrap();
    let target =
        program.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file()).unwrap_or(Path::new("target"));
    let folder = target.join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Browser {
    /// Opens a path, and looks at the page with axe.
    pub async fn open(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base_url)).await.unwrap();
        self.look().await;
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.driver.find(By::Css(format!("[name='{name}']"))).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Puts a file into its field.
    pub async fn attach(&self, path: &Path) {
        let field = self.driver.find(By::Css("input[type=file]")).await.unwrap();
        field.send_keys(path.to_str().unwrap()).await.unwrap();
    }

    /// Clicks a box, a radio button or an entry by its label.
    pub async fn tick(&self, label: &str) {
        let path = format!("//label[normalize-space()=\"{label}\"]");
        self.driver.find(By::XPath(path)).await.unwrap().click().await.unwrap();
    }

    /// Presses a button by its words, and looks at what comes.
    pub async fn press(&self, words: &str) {
        let path = format!("//button[normalize-space()=\"{words}\"]");
        let Ok(button) = self.driver.find(By::XPath(path)).await else {
            panic!("no button {words:?} on: {}", self.text().await);
        };
        button.click().await.unwrap();
        self.look().await;
    }

    /// Follows a link by its words, and looks at what comes.
    pub async fn follow(&self, words: &str) {
        let Ok(link) = self.driver.find(By::LinkText(words)).await else {
            panic!("no link {words:?} on: {}", self.text().await);
        };
        link.click().await.unwrap();
        self.look().await;
    }

    /// The browser's back button.
    pub async fn back(&self) {
        self.driver.back().await.unwrap();
    }

    /// The page as a person reads it.
    pub async fn text(&self) -> String {
        self.driver.find(By::Tag("body")).await.unwrap().text().await.unwrap()
    }

    /// The page must say this.
    pub async fn says(&self, words: &str) {
        let text = self.text().await;
        assert!(text.contains(words), "{words:?} is not on the page: {text}");
    }

    /// The path of the present page.
    pub async fn path(&self) -> String {
        self.driver.current_url().await.unwrap().path().to_owned()
    }

    /// The text of the first element that fits.
    pub async fn text_of(&self, css: &str) -> String {
        self.driver.find(By::Css(css)).await.unwrap().text().await.unwrap()
    }

    /// Sets the size of the window.
    pub async fn resize(&self, width: u32, height: u32) {
        self.driver.set_window_rect(0, 0, width, height).await.unwrap();
    }

    /// A picture of the page, in the build folder.
    pub async fn screenshot(&self, name: &str) {
        self.driver.screenshot(&screenshots().join(format!("{name}.png"))).await.unwrap();
    }

    /// Whether the page is wider than the window.
    pub async fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth;";
        self.driver.execute(script, vec![]).await.unwrap().json().as_bool().unwrap()
    }

    /// axe-core finds nothing on the present page (WCAG 2.2 A and AA, and its best practices).
    async fn look(&self) {
        let Some(axe) = &self.axe else { return };
        let script = format!(
            "{axe}; const done = arguments[arguments.length - 1]; \
             axe.run(document, {{ resultTypes: ['violations'] }}).then(found => done(found.violations.map(one => \
             one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | '))), error => done(['' + error]));"
        );
        let found = self.driver.execute_async(&script, vec![]).await.unwrap();
        let found: &Value = found.json();
        assert_eq!(*found, json!([]), "{} {}", self.path().await, self.text().await);
    }

    /// Ends it.
    pub async fn close(self) {
        self.driver.quit().await.unwrap();
    }
}
