//! The caller's side of a supervisor: it is started, asked, and ended with its standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::protocol::{Reply, Request};
use crate::error::{Context, Error, Result};

/// How long a supervisor may take to put everything away.
const END_BOUND: Duration = Duration::from_secs(10);
/// How many lines of the console an error carries.
const CONSOLE_LINES: usize = 20;

/// A supervisor that runs.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    console: File,
}

impl Supervisor {
    /// Starts one. It has a process group of its own, so that Ctrl-C on the caller's terminal leaves it the time to tidy up.
    pub(super) fn start(program: &Path) -> Result<Supervisor> {
        let console = tempfile::tempfile().context("no temporary file for the twin's console")?;
        let stderr = console.try_clone().context("no second handle of the twin's console")?;
        let mut child = Command::new(program)
            .args(["internal", "twin-init"])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed("the supervisor of a twin has no pipes"));
        };
        Ok(Supervisor { child, requests: Some(stdin), replies: BufReader::new(stdout), console })
    }

    /// Asks for one thing and waits for the reply.
    pub(super) fn ask(&mut self, request: &Request) -> Result<i32> {
        let lost = "the supervisor of the twin ended unexpectedly";
        let mut line = serde_json::to_string(request).context("a request for a twin cannot be written")?;
        line.push('\n');
        let pipe = self.requests.as_mut().ok_or_else(|| Error::failed(lost))?;
        let sent = pipe.write_all(line.as_bytes());
        let mut reply = String::new();
        let received = sent.and_then(|()| self.replies.read_line(&mut reply));
        match received {
            Ok(1..) => {
                serde_json::from_str::<Reply>(&reply).context("the supervisor's reply cannot be read")?.into_result()
            }
            Ok(0) => Err(Error::failed(lost).detail(self.console())),
            Err(error) => Err(Error::failed(lost).because(error).detail(self.console())),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines that the supervisor and PID 1 wrote.
    pub(super) fn console(&self) -> Vec<String> {
        let mut text = Vec::new();
        let read = self.console.try_clone().and_then(|mut file| {
            file.rewind()?;
            file.read_to_end(&mut text)
        });
        match read {
            Ok(_) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let lines: Vec<_> = text.lines().map(crate::text::harmless).collect();
                lines[lines.len().saturating_sub(CONSOLE_LINES)..].to_vec()
            }
            Err(error) => vec![format!("(the console cannot be read: {error})")],
        }
    }

    /// Ends it and says what it could not put away.
    pub(super) fn end(mut self) -> Result<()> {
        match self.finish() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(Error::failed("the twin was not put away entirely").because(status).detail(self.console()))
            }
            Err(error) => Err(Error::failed("the supervisor of the twin cannot be ended").because(error)),
        }
    }

    /// Closes its standard input, waits for its end, kills it at the bound: the kernel then ends PID 1 with it.
    fn finish(&mut self) -> std::io::Result<std::process::ExitStatus> {
        drop(self.requests.take());
        let deadline = Instant::now() + END_BOUND;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                return self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Nobody is left to be told; the supervisor ends by itself once its standard input is closed.
        self.finish().map(drop).unwrap_or_default();
    }
}
