//! tokio-tungstenite on tokio's loop in one thread, a task for each connection, its limits as they come. A broadcast goes through
//! tokio's channel for that; the message is shared, its frame is made for each connection.
//!
//! It fills its buffer for reading with zeros before each read, and that is 128 KiB unless one says otherwise. So it
//! takes part twice, the second time with 4 KiB.

#[cfg(not(feature = "websocket"))]
pub fn serve(_mode: crate::Mode) -> std::io::Result<()> {
    crate::serving::unsupported("feature `websocket` of this package is off");
    Ok(())
}

#[cfg(not(feature = "websocket"))]
pub use serve as serve_small;

#[cfg(feature = "websocket")]
pub use server::{serve, serve_small};

#[cfg(feature = "websocket")]
mod server {
    use std::io;
    use std::pin::pin;

    use futures_util::future::{Either, select};
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::broadcast;
    use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
    use tokio_tungstenite::tungstenite::{Message, Result};
    use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

    use crate::{BROADCAST, Mode};

    pub fn serve(mode: Mode) -> io::Result<()> {
        serve_with(mode, WebSocketConfig::default())
    }

    pub fn serve_small(mode: Mode) -> io::Result<()> {
        serve_with(mode, WebSocketConfig::default().read_buffer_size(4096))
    }

    fn serve_with(mode: Mode, config: WebSocketConfig) -> io::Result<()> {
        let listener = crate::listen()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, accept(listener, mode, config))
    }

    async fn accept(
        listener: std::net::TcpListener,
        mode: Mode,
        config: WebSocketConfig,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let (sender, _) = broadcast::channel(16);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let sender = sender.clone();
            tokio::task::spawn_local(async move {
                // Peers may leave as they like.
                let Ok(stream) = accept_async_with_config(socket, Some(config)).await else {
                    return;
                };
                let _ = match mode {
                    Mode::Echo => echo(stream).await,
                    Mode::Broadcast => share(stream, sender).await,
                };
            });
        }
    }

    async fn echo(mut stream: WebSocketStream<TcpStream>) -> Result<()> {
        while let Some(message) = stream.next().await {
            let message = message?;
            if message.is_text() || message.is_binary() {
                stream.send(message).await?;
            }
        }
        Ok(())
    }

    async fn share(
        mut stream: WebSocketStream<TcpStream>,
        sender: broadcast::Sender<Message>,
    ) -> Result<()> {
        let mut receiver = sender.subscribe();
        loop {
            let next = match select(pin!(stream.next()), pin!(receiver.recv())).await {
                Either::Left((next, _)) => Either::Left(next),
                Either::Right((message, _)) => Either::Right(message),
            };
            match next {
                Either::Left(Some(message)) => {
                    if message?.is_text() {
                        let all = String::from_utf8_lossy(&BROADCAST).into_owned();
                        // There is at least this receiver.
                        let _ = sender.send(Message::text(all));
                    }
                }
                Either::Right(Ok(message)) => stream.send(message).await?,
                Either::Left(None) | Either::Right(Err(_)) => return Ok(()),
            }
        }
    }
}
