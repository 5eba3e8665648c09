//! A real browser for the portal: Chromium, its driver, and axe-core, which looks at every page that is visited.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromeCapabilities, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver, WebElement,
    common::{capabilities::desiredcapabilities::CapabilitiesHelper as _, log::LoggingPrefsLogLevel},
    extensions::query::ElementQueryable as _,
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
        self.browser_with(base_url, DesiredCapabilities::chrome()).await
    }

    /// The same, of somebody whose browser runs no scripts. axe-core is one, so that it does not look here.
    pub async fn scriptless_browser(&self, base_url: &str) -> Browser {
        let mut wanted = DesiredCapabilities::chrome();
        let forbidden = json!({ "profile.managed_default_content_settings.javascript": 2 });
        wanted.add_experimental_option("prefs", forbidden).unwrap();
        Browser { axe: None, ..self.browser_with(base_url, wanted).await }
    }

    /// The same, of somebody who prefers dark pages.
    pub async fn dark_browser(&self, base_url: &str) -> Browser {
        let mut wanted = DesiredCapabilities::chrome();
        wanted.add_arg("--blink-settings=preferredColorScheme=0").unwrap();
        let browser = self.browser_with(base_url, wanted).await;
        let script = "return matchMedia('(prefers-color-scheme: dark)').matches;";
        let dark = browser.driver.execute(script, vec![]).await.unwrap();
        assert_eq!(*dark.json(), json!(true), "the browser does not ask for dark pages");
        browser
    }

    async fn browser_with(&self, base_url: &str, mut wanted: ChromeCapabilities) -> Browser {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let profile = tempfile::tempdir().unwrap();
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
        wanted.accept_insecure_certs(true).unwrap();
        wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::All).unwrap();
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

    /// Opens a page that is not ours to judge: without axe.
    pub async fn visit(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base_url)).await.unwrap();
    }

    /// What the browser complains about since it was last asked: errors of scripts, broken loads, policies broken.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.get_log("browser").await.unwrap();
        log.into_iter()
            .filter(|entry| entry.level != "INFO" && entry.level != "DEBUG")
            .map(|entry| entry.message)
            .collect()
    }

    /// Waits until the first element that fits is there, and reads it.
    pub async fn wait_for(&self, css: &str) -> String {
        let found = self.driver.query(By::Css(css.to_owned())).first().await;
        match found {
            Ok(element) => element.text().await.unwrap(),
            Err(error) => panic!("{css}: {error}; the page says: {}", self.text().await),
        }
    }

    /// Clicks the first element that fits, once it is there.
    pub async fn click(&self, css: &str) {
        self.wait_for(css).await;
        self.driver.find(By::Css(css.to_owned())).await.unwrap().click().await.unwrap();
    }

    /// Types into the first field that fits, in place of what is there.
    pub async fn type_into(&self, css: &str, value: &str) {
        self.wait_for(css).await;
        let field = self.driver.find(By::Css(css.to_owned())).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// The texts of all elements that fit.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.driver.find_all(By::Css(css.to_owned())).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
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
        let before = self.driver.find(By::Tag("html")).await.unwrap();
        button.click().await.unwrap();
        self.left(&before).await;
        self.look().await;
    }

    /// Waits until the page that an element was on is gone. A button that only changes its page has five seconds.
    async fn left(&self, before: &WebElement) {
        for _ in 0..50 {
            if before.tag_name().await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Follows a link by its words, and looks at what comes.
    pub async fn follow(&self, words: &str) {
        let Ok(link) = self.driver.find(By::LinkText(words)).await else {
            panic!("no link {words:?} on: {}", self.text().await);
        };
        link.click().await.unwrap();
        self.look().await;
    }

    /// Waits until the page says this: for what a script or a job does by itself.
    pub async fn waits_for(&self, words: &str) {
        for _ in 0..300 {
            if self.text().await.contains(words) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{words:?} does not come: {}", self.text().await);
    }

    /// Waits until the first element that fits has this attribute.
    pub async fn waits_for_attribute(&self, css: &str, name: &str, value: &str) {
        for _ in 0..300 {
            let element = self.driver.find(By::Css(css)).await.unwrap();
            if element.attr(name).await.unwrap().as_deref() == Some(value) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{css} has no {name}={value}");
    }

    /// What stands in a field.
    pub async fn value(&self, name: &str) -> String {
        let field = self.driver.find(By::Css(format!("[name='{name}']"))).await.unwrap();
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    /// Loads the page again, and looks at it.
    pub async fn reload(&self) {
        self.driver.refresh().await.unwrap();
        self.look().await;
    }

    /// The browser's back button.
    pub async fn back(&self) {
        self.driver.back().await.unwrap();
    }

    /// The page as a person reads it.
    pub async fn text(&self) -> String {
        // The page may be replaced while it is read.
        for _ in 0..100 {
            if let Ok(body) = self.driver.find(By::Tag("body")).await
                && let Ok(text) = body.text().await
            {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the page cannot be read");
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
