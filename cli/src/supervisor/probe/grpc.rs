//! The health protocol of gRPC (grpc.health.v1): one call with one field and an answer with one. A whole gRPC and a
//! code generator would be much for that.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{connect, root_cause};

/// Asks whether a service, or the whole server when the name is empty, serves.
pub(super) async fn check(port: u16, service: &str) -> Result<(), String> {
    let stream = TokioIo::new(connect(port).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .map_err(|error| root_cause(&error))?;
    let request = hyper::Request::post(format!("http://127.0.0.1:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "ssi")
        .body(Full::new(Bytes::from(request(service))))
        .map_err(|error| root_cause(&error))?;
    let driving = tokio::spawn(connection);
    let asking = async {
        let answer = sender.send_request(request).await?;
        // An answer that is over at once has its trailers among its headers.
        let at_once = status(answer.headers());
        let body = answer.into_body().collect().await?;
        let code = body.trailers().and_then(status).or(at_once);
        Ok::<_, hyper::Error>((code, body.to_bytes()))
    };
    let answered = asking.await;
    driving.abort();
    let (code, bytes) = answered.map_err(|error| root_cause(&error))?;
    match code.as_deref() {
        Some("0") => judge(&bytes),
        Some("5") => Err(format!("gRPC health knows no service `{service}`")),
        Some("12") => Err("the server has no gRPC health service".to_owned()),
        Some(code) => Err(format!("gRPC health ends with status {code}")),
        None => Err("what answers is no gRPC".to_owned()),
    }
}

fn status(headers: &hyper::HeaderMap) -> Option<String> {
    headers.get("grpc-status")?.to_str().ok().map(str::to_owned)
}

/// `HealthCheckRequest { string service = 1 }` in a frame: a byte that says "not compressed", and the length.
fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

/// `HealthCheckResponse { ServingStatus status = 1 }`, of which 1 is SERVING, in a frame. An enum's zero is not written.
fn judge(frame: &[u8]) -> Result<(), String> {
    match frame.get(5..) {
        Some([0x08, 1]) => Ok(()),
        Some([0x08, 2]) => Err("gRPC health says NOT_SERVING".to_owned()),
        Some([0x08, 3]) => Err("gRPC health says SERVICE_UNKNOWN".to_owned()),
        _ => Err("gRPC health says UNKNOWN".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_writes_them() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("shop"), [0, 0, 0, 0, 6, 0x0a, 4, b's', b'h', b'o', b'p']);
        assert_eq!(request(&"x".repeat(300))[5..8], [0x0a, 0xac, 0x02]);
        assert_eq!(judge(&[0, 0, 0, 0, 2, 0x08, 1]), Ok(()));
        for frame in [&[][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 0x08, 2], &[0, 0, 0, 0, 2, 0x08, 3]] {
            assert!(judge(frame).is_err());
        }
    }
}
