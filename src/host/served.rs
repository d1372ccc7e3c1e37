//! A server for tests that says exactly what it is given, whole or a piece at a time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// Answers requests with these bytes, one connection each, a piece at a time; what was asked comes back.
pub(crate) fn server(answers: Vec<Vec<Vec<u8>>>, pause: Duration) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let one = |pieces: Vec<Vec<u8>>| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 4096];
            let count = stream.read(&mut asked).expect("a request");
            for piece in pieces {
                // A client that has had enough goes away.
                if stream.write_all(&piece).is_err() {
                    break;
                }
                std::thread::sleep(pause);
            }
            String::from_utf8_lossy(&asked[..count]).to_ascii_lowercase()
        };
        answers.into_iter().map(one).collect()
    });
    (url, thread)
}
