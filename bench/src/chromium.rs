//! First paint of the hosted sign-in page, as Chromium itself reports it. It is driven over a pipe by the DevTools protocol, of which
//! this is as much as it takes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::report::say;
use crate::server::Server;
use crate::world::{CALLBACK, CLIENT, DOMAIN_HOST, World};
use crate::{Failed, Result};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Visits; the first, with cold caches and a cold Chromium, is told apart.
const VISITS: usize = 9;

/// Never fails the run: a browser is not part of the server.
pub async fn print_first_paint(server: &Server, world: &World) {
    let Some(program) = found() else {
        return say("first paint was not measured: no Chromium is installed");
    };
    let port = server.address.port();
    let page = format!(
        "http://{DOMAIN_HOST}:{port}/login?client_id={CLIENT}&response_type=code&scope=openid&redirect_uri={CALLBACK}"
    );
    let profile = world.directory.0.join("chromium");
    // Its protocol is spoken in blocking calls, and nothing else is going on.
    let paints = tokio::task::spawn_blocking(move || paints(&program, &profile, &page)).await;
    match paints.map_err(Failed::from).and_then(|paints| paints) {
        Ok((first, mut others)) => {
            others.sort_by(f64::total_cmp);
            let median = others.get(others.len() / 2).copied().unwrap_or(first);
            let verdict = if median < 100.0 { "kept" } else { "MISSED" };
            say(&format!(
                "first paint of the sign-in page in Chromium: {median:.0} ms (median of {}), {first:.0} ms at the first visit; under 100 ms: {verdict}",
                others.len()
            ));
        }
        Err(Failed(why)) => say(&format!("first paint was not measured: {why}")),
    }
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from).filter(|named| named.is_file());
    named.or_else(|| {
        std::env::split_paths(&path)
            .flat_map(|directory| NAMES.map(|name| directory.join(name)))
            .find(|program| program.is_file())
    })
}

/// Milliseconds from the beginning of the navigation to the first paint: at the first visit, and at the others.
fn paints(program: &Path, profile: &Path, page: &str) -> Result<(f64, Vec<f64>)> {
    let mut browser = Browser::start(program, profile)?;
    let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }), None)?;
    let target = target.get("targetId").cloned().unwrap_or_default();
    let attached = browser.call(
        "Target.attachToTarget",
        json!({ "targetId": target, "flatten": true }),
        None,
    )?;
    let session = attached.get("sessionId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut seen = Vec::new();
    for _ in 0..VISITS {
        // A navigation to the page that is shown already would be a reload.
        browser.call("Page.navigate", json!({ "url": "about:blank" }), Some(&session))?;
        browser.call("Page.navigate", json!({ "url": page }), Some(&session))?;
        seen.push(browser.paint(&session)?);
    }
    let others = seen.split_off(1);
    Ok((seen.first().copied().unwrap_or_default(), others))
}

struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
}

impl Browser {
    fn start(program: &Path, profile: &Path) -> Result<Browser> {
        // Chromium speaks its protocol on the descriptors 3 and 4, which only a shell can lay out without unsafe code.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec 3<&0 4>&1 </dev/null >/dev/null 2>&1; exec \"$0\" \"$@\""])
            .arg(program)
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.ok_or_else(|| Failed("Chromium has no pipes".to_owned()))?;
        Ok(Browser { child, to, from: BufReader::new(from), calls: 0 })
    }

    /// Asks for the first paint until there is one.
    fn paint(&mut self, session: &str) -> Result<f64> {
        let ask = "location.protocol === 'http:' ? performance.getEntriesByName('first-paint')[0]?.startTime ?? 0 : 0";
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let answer =
                self.call("Runtime.evaluate", json!({ "expression": ask }), Some(session))?;
            match answer.pointer("/result/value").and_then(Value::as_f64) {
                Some(ms) if ms > 0.0 => return Ok(ms),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(Failed("the page was not painted in ten seconds".to_owned()))
    }

    fn call(&mut self, method: &str, params: Value, session: Option<&str>) -> Result<Value> {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let (Some(session), Value::Object(members)) = (session, &mut message) {
            members.insert("sessionId".to_owned(), session.into());
        }
        self.to.write_all(message.to_string().as_bytes())?;
        self.to.write_all(b"\0")?;
        self.to.flush()?;
        loop {
            let mut text = Vec::new();
            if self.from.read_until(0, &mut text)? == 0 {
                return Err(Failed("Chromium ended".to_owned()));
            }
            text.pop();
            let answer: Value = serde_json::from_slice(&text)?;
            // Everything else is an event.
            if answer.get("id").and_then(Value::as_u64) == Some(self.calls) {
                return match answer.pointer("/error/message") {
                    Some(error) => Err(Failed(format!("{method}: {error}"))),
                    None => Ok(answer.get("result").cloned().unwrap_or_default()),
                };
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("Browser.close", json!({}), None);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
