//! fastwebsockets on tokio's loop in one thread, a task for each connection. The handshake is done here, to the letter of the load's.

#[cfg(not(feature = "websocket"))]
pub fn serve(_mode: crate::Mode) -> std::io::Result<()> {
    crate::serving::unsupported("");
    Ok(())
}

#[cfg(feature = "websocket")]
pub use server::serve;

#[cfg(feature = "websocket")]
mod server {
    use std::io;

    use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    use crate::Mode;

    pub fn serve(mode: Mode) -> io::Result<()> {
        if mode == Mode::Broadcast {
            // It has nothing for that.
            crate::serving::unsupported("");
            return Ok(());
        }
        let listener = crate::listen()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, accept(listener))
    }

    async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                // Peers may leave as they like.
                let _ = echo(socket).await;
            });
        }
    }

    async fn echo(mut socket: TcpStream) -> Result<(), WebSocketError> {
        let mut head = vec![0; 1024];
        let mut length = 0;
        while !head[..length].ends_with(b"\r\n\r\n") {
            match socket.read(&mut head[length..]).await? {
                0 => return Ok(()),
                count => length += count,
            }
        }
        let key = str::from_utf8(&head[..length]).ok().and_then(|head| {
            head.split("\r\n").find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        });
        let accepted = derive_accept_key(key.unwrap_or_default().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await?;
        drop(head);
        let mut stream = FragmentCollector::new(WebSocket::after_handshake(socket, Role::Server));
        loop {
            let frame = stream.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => stream.write_frame(frame).await?,
                _ => {}
            }
        }
    }
}
