//! A database server as a process of this machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use clustergraph::catalogue::{self, fill, fill_database, says_version};
use tokio::process::Command;

use super::super::{Cause, LAST_LINES, Server, tail};
use super::{group, open_log, tools};
use crate::protocol::RuntimeName;
use crate::session::Session;

/// Where a server's programs are, where its data is, and as whom it runs.
#[derive(Debug, Clone)]
pub(super) struct Native {
    /// Where programs are looked for: the entry's own folders, then the caller's.
    path: String,
    /// The server itself, when it is a folder.
    home: Option<PathBuf>,
    data: PathBuf,
    sockets: PathBuf,
    /// Servers refuse to run as root.
    account: Option<(u32, u32)>,
}

/// Which data a server has here.
pub(super) fn incarnation(server: &str, session: &Session) -> Option<String> {
    let data = data_of(server, session);
    data.exists().then(|| std::fs::read_to_string(beside(&data)).ok())?
}

fn data_of(server: &str, session: &Session) -> PathBuf {
    session.state_dir.join("databases").join(server)
}

/// Where it is written which data a folder holds: servers want their folders to themselves.
fn beside(data: &Path) -> PathBuf {
    data.with_file_name(format!("{}.incarnation", data.file_name().unwrap_or_default().to_string_lossy()))
}

impl Native {
    /// Finds the server's programs, in the very version that is wanted.
    pub(super) async fn find(server: &Server, session: &Session) -> Result<Self, Cause> {
        let native = of(server)?;
        let version = [("version", server.version.as_str())];
        let mut places: Vec<PathBuf> = native
            .folders
            .iter()
            .map(|folder| fill(folder, &version).into())
            .filter(|folder: &PathBuf| folder.is_dir())
            .collect();
        let path = server.base_env.get("PATH").map(String::as_str).unwrap_or_default();
        places.extend(std::env::split_paths(path));
        let path = std::env::join_paths(places).map_err(|error| Cause::new(format!("PATH: {error}")))?;
        let name = &server.unit.name;
        let found = Self {
            path: path.to_string_lossy().into_owned(),
            home: native
                .home
                .as_ref()
                .map(|_| server.home.clone().unwrap_or_else(|| session.home_of(&server.kind.kind, &server.version))),
            data: data_of(name, session),
            sockets: session.runtime_dir.join(name),
            account: native.account.as_deref().filter(|_| rustix::process::geteuid().is_root()).and_then(account),
        };
        if let Some(home) = found.home.as_ref().filter(|home| !home.is_dir()) {
            return Err(missing(server, &format!("{} is not there", home.display())));
        }
        let said = match found.words(&native.version, server, &found.data) {
            Ok(mut version) => version.current_dir("/").output().await.map(|output| {
                let (out, err) = (output.stdout, output.stderr);
                format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err)).trim().to_owned()
            })?,
            Err(_) => return Err(missing(server, "it is not installed")),
        };
        if !says_version(&said, &server.version) {
            let said = said.lines().next().unwrap_or("something else");
            return Err(missing(server, &format!("this machine has {said}")));
        }
        Ok(found)
    }

    /// The user that it runs as, where that is not the caller.
    pub(super) fn account(&self) -> Option<u32> {
        self.account.map(|(user, _)| user)
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
        let mut command = self.as_account(self.words(&of(server)?.init, server, &draft)?);
        let log = open_log(&server.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let status = command.status().await?;
        if !status.success() {
            let message = format!("the data folder of {} could not be made: it {}", server.unit, group::ended(status));
            return Err(Cause { message, lines: tail(&server.log, LAST_LINES) });
        }
        std::fs::write(beside(&self.data), &server.incarnation)?;
        std::fs::rename(&draft, &self.data)?;
        Ok(())
    }

    /// The command that runs the server.
    pub(super) fn command(&self, server: &Server) -> Result<Command, Cause> {
        let native = of(server)?;
        let mut words = native.run.clone();
        words.extend(server.kind.settings.iter().flat_map(|settings| settings.native_words(&server.settings)));
        Ok(self.as_account(self.words(&words, server, &self.data)?))
    }

    /// The command that runs one of the server's client programs.
    pub(super) fn client(&self, server: &Server, words: &[String]) -> Result<Command, Cause> {
        self.words(words, server, &self.data)
    }

    /// A command of the catalogue, with its texts filled in.
    fn words(&self, words: &[String], server: &Server, data: &Path) -> Result<Command, Cause> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut values = server.values(RuntimeName::Process);
        values.extend([
            ("data", text(data)),
            ("sockets", text(&self.sockets)),
            ("password_file", text(&self.sockets.join("password"))),
        ]);
        values.extend(self.home.as_ref().map(|home| ("home", text(home))));
        let fill = |word: &String| fill_database(word, &values);
        let words: Vec<String> = words.iter().map(fill).collect();
        let (program, arguments) = words.split_first().ok_or_else(|| Cause::new("the catalogue names no program"))?;
        let found = tools::find(program, Path::new("/"), &self.path)
            .ok_or_else(|| Cause::new(format!("there is no program `{program}` on this machine")))?;
        let mut command = Command::new(found);
        let folder = if self.sockets.is_dir() { self.sockets.as_path() } else { Path::new("/") };
        command.args(arguments).env_clear().envs(&server.base_env).env("PATH", &self.path).current_dir(folder);
        command.envs(of(server)?.env.iter().map(|(name, value)| (name, fill(value))));
        Ok(command)
    }

    fn as_account(&self, mut command: Command) -> Command {
        if let Some((user, group)) = self.account {
            // The caller's folder of temporary files is the caller's: another account may not write there.
            command.uid(user).gid(group).env_remove("TMPDIR");
        }
        command
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

/// That a server is not here as it is wanted, and what would bring it.
fn missing(server: &Server, found: &str) -> Cause {
    let version = [("version", server.version.as_str())];
    let native = server.kind.native.as_ref();
    let mut ways: Vec<String> = native
        .iter()
        .flat_map(|native| &native.package)
        .map(|(manager, package)| {
            let verb = if manager == "apt" { "apt-get install" } else { "brew install" };
            format!("`{verb} {}`", fill(package, &version))
        })
        .collect();
    if let Some(home) = native.and_then(|native| native.home.as_ref()) {
        ways.insert(0, format!("`ssi setup` fetches it, or let {} name its folder", home.variable));
    }
    Cause::new(format!(
        "{} {} is wanted, but {found}: {}, or run it with `--runtime docker`",
        server.kind.kind,
        server.version,
        ways.join(" or ")
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
