//! Answers every request with a greeting.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8101);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    for (number, stream) in listener.incoming().enumerate() {
        // A visitor who leaves before the answer is no reason to end.
        if let Err(error) = stream.and_then(|stream| answer(stream, number)) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream, number: usize) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(&stream);
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut digits = itoa::Buffer::new();
    let text = format!("hello from rust, number {}\n", digits.format(number));
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
}
