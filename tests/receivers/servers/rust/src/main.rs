//! Answers 200 when `is_ours` accepts a request, and 401 when it does not.

mod code_shown;

use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn read_line(reader: &mut impl BufRead) -> Vec<u8> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).expect("a line");
    line.truncate(line.len().saturating_sub(2));
    line
}

fn read_request(stream: &TcpStream) -> (Vec<u8>, HeaderMap) {
    let mut reader = BufReader::new(stream);
    read_line(&mut reader);
    let mut headers = HeaderMap::new();
    loop {
        let line = read_line(&mut reader);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(&line[..colon]).expect("a name");
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).expect("a value");
        headers.insert(name, value);
    }
    let length = headers["content-length"].to_str().expect("digits").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    (body, headers)
}

fn answer(mut stream: TcpStream) {
    let (body, headers) = read_request(&stream);
    let judged = std::panic::catch_unwind(|| code_shown::is_ours(&body, &headers));
    let status = match judged {
        Ok(true) => 200,
        Ok(false) => 401,
        Err(_) => 500,
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the sender to listen");
}

fn main() {
    let port = std::env::var("PORT").expect("PORT").parse().expect("a number");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        std::thread::spawn(move || answer(stream));
    }
}
