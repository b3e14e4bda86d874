//! A database server as a process of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clustergraph::catalogue::{self, fill, says_version};
use tokio::process::Command;

use super::super::{Cause, LAST_LINES, Server, tail};
use super::{group, open_log};
use crate::session::Session;

/// Where a server's programs are, where its data is, and as whom it runs.
pub(super) struct Native {
    /// The folder of its programs; `PATH` when it is on it.
    bin: Option<PathBuf>,
    data: PathBuf,
    sockets: PathBuf,
    /// Servers refuse to run as root.
    account: Option<(u32, u32)>,
}

impl Native {
    /// Finds the server's programs, in the very version that is wanted.
    pub(super) async fn find(server: &Server, session: &Session) -> Result<Self, Cause> {
        let native = of(server)?;
        let (program, arguments) =
            native.version.split_first().ok_or_else(|| Cause::new("the catalogue names no program"))?;
        let version = [("version", server.version.as_str())];
        let folders = native.folders.iter().map(|folder| PathBuf::from(fill(folder, &version)));
        let bin = folders.into_iter().find(|folder| folder.join(program).is_file());
        if bin.is_none() {
            let output = Command::new(program).args(arguments).output().await;
            let said =
                output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
            if !says_version(&said, &server.version) {
                return Err(missing(server, &said));
            }
        }
        let account = rustix::process::geteuid().is_root().then(|| account(&native.account)).flatten();
        let name = &server.unit.name;
        Ok(Self {
            bin,
            data: session.state_dir.join("databases").join(name),
            sockets: session.runtime_dir.join(name),
            account,
        })
    }

    /// The path of one of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.as_ref().map_or_else(|| PathBuf::from(name), |bin| bin.join(name))
    }

    /// Makes the data folder at the first time. It appears whole or not at all.
    pub(super) async fn init(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        self.own(&self.sockets)?;
        if self.data.join(&of(server)?.marker).exists() {
            return Ok(());
        }
        if self.data.exists() {
            let message =
                format!("{} holds something else than data of {}: move it away", self.data.display(), server.unit);
            return Err(Cause::new(message));
        }
        tell(format!("making the data folder of {}", server.unit));
        let draft = self.data.with_extension("new");
        if draft.exists() {
            std::fs::remove_dir_all(&draft)?;
        }
        self.own(&draft)?;
        let password = self.sockets.join("password");
        let _removed = PasswordFile::write(&password, &server.admin_password, self.account)?;
        let mut command = self.run(&of(server)?.init, server, &draft)?;
        let log = open_log(&server.log)?;
        let status = command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).status().await?;
        if !status.success() {
            let message = format!("the data folder of {} could not be made: it {}", server.unit, group::ended(status));
            return Err(Cause { message, lines: tail(&server.log, LAST_LINES) });
        }
        std::fs::rename(&draft, &self.data)?;
        Ok(())
    }

    /// The command that runs the server.
    pub(super) fn command(&self, server: &Server) -> Result<Command, Cause> {
        self.run(&of(server)?.run, server, &self.data)
    }

    fn run(&self, words: &[String], server: &Server, data: &Path) -> Result<Command, Cause> {
        let port = server.port.to_string();
        let values: BTreeMap<&str, String> = BTreeMap::from([
            ("data", data.to_string_lossy().into_owned()),
            ("sockets", self.sockets.to_string_lossy().into_owned()),
            ("password_file", self.sockets.join("password").to_string_lossy().into_owned()),
            ("port", port),
            ("admin", server.kind.admin.clone()),
            ("version", server.version.clone()),
        ]);
        let words: Vec<String> =
            words.iter().map(|word| clustergraph::catalogue::fill_database(word, &values)).collect();
        let (program, arguments) = words.split_first().ok_or_else(|| Cause::new("the catalogue names no program"))?;
        let mut command = Command::new(self.program(program));
        command.args(arguments).env_clear().envs(&server.base_env).current_dir(&self.sockets);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    /// A folder that the server's account owns and nobody else reads.
    fn own(&self, folder: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent)?;
            let mut permissions = std::fs::metadata(parent)?.permissions();
            permissions.set_mode(permissions.mode() | 0o011);
            std::fs::set_permissions(parent, permissions)?;
        }
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        std::os::unix::fs::chown(folder, self.account.map(|a| a.0), self.account.map(|a| a.1))
    }
}

/// A password for one program; gone when dropped, however the program goes.
struct PasswordFile(PathBuf);

impl PasswordFile {
    fn write(path: &Path, password: &str, account: Option<(u32, u32)>) -> std::io::Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let mut file = std::fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        let kept = Self(path.to_owned());
        std::os::unix::fs::fchown(&file, account.map(|a| a.0), account.map(|a| a.1))?;
        file.write_all(password.as_bytes())?;
        Ok(kept)
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // its folder is for the server's account alone
    }
}

/// How a server runs here, if its kind can.
fn of(server: &Server) -> Result<&catalogue::Native, Cause> {
    let kind = &server.kind;
    kind.native
        .as_ref()
        .ok_or_else(|| Cause::new(format!("{} runs in a container only: run with `--runtime docker`", kind.kind)))
}

fn missing(server: &Server, said: &str) -> Cause {
    let found = if said.is_empty() { "it is not installed".to_owned() } else { format!("this machine has {said}") };
    let version = [("version", server.version.as_str())];
    let packages: Vec<String> = server
        .kind
        .native
        .iter()
        .flat_map(|native| &native.package)
        .map(|(manager, package)| {
            let verb = if manager == "apt" { "apt-get install" } else { "brew install" };
            format!("`{verb} {}`", fill(package, &version))
        })
        .collect();
    Cause::new(format!(
        "{} {} is wanted, but {found}: {}, or run with `--runtime docker`",
        server.kind.kind,
        server.version,
        packages.join(" or ")
    ))
}

/// The user and group of an account, or of `nobody`.
fn account(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let of = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (user, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (user == name).then(|| Some((uid.parse().ok()?, gid.parse().ok()?)))?
        })
    };
    of(name).or_else(|| of("nobody"))
}
