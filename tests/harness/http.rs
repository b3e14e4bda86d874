//! HTTP as a visitor speaks it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its text.
    pub body: String,
    /// The nodes that took part, as each of them put itself into `x-served-by`.
    pub served_by: Vec<String>,
}

/// Gets a page; fails when there is none.
#[must_use]
pub fn get(url: &str) -> Answer {
    block_on(async { ask(&client(), url).await.unwrap_or_else(|error| panic!("{url}: {error}")) })
}

/// Sends a form and gives the answer's status; redirects are not followed.
#[must_use]
pub fn post(url: &str, form: &str) -> u16 {
    block_on(async {
        let request =
            client().post(url).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        request.send().await.unwrap_or_else(|error| panic!("{url}: {error}")).status().as_u16()
    })
}

/// Begins to ask and breaks off: the connection is reset.
pub fn leave_early(url: &str) {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    block_on(async {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("the beginning of a request");
        stream.set_zero_linger().expect("no lingering");
    });
}

/// A client whose every request has a connection of its own.
pub(crate) fn client() -> reqwest::Client {
    builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client")
}

/// A client of plain HTTP. It wants some cryptography all the same, but need not read the machine's certificates, which takes
/// long and is done for each client.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    // A second installation is refused, and the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

pub(crate) async fn ask(client: &reqwest::Client, url: &str) -> Result<Answer, String> {
    let answer = client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
    let served_by = answer
        .headers()
        .get("x-served-by")
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(',').map(|name| name.trim().to_owned()).collect())
        .unwrap_or_default();
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(|error| format!("{error:?}"))?;
    Ok(Answer { status, body, served_by })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
