//! A link that can be made slow, silent, cut or closed: a TCP proxy in user space, one for each pair of peers.
//!
//! It knows bytes and two directions, and nothing of what they mean. Its weather can change at any time and reaches
//! connections that are open already.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{JoinSet, yield_now},
    time::{Instant, sleep_until, timeout},
};

/// How much is read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// How one direction of a link carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// At once.
    Fair,
    /// Each chunk waits for `delay` and up to `jitter` more.
    Slow { delay: Duration, jitter: Duration },
    /// In pieces of at most so many bytes.
    Sliced { bytes: usize },
    /// Nothing is read: the sender's buffers fill up.
    Stalled,
    /// Everything is read and goes nowhere, as with a peer that is gone. A connection that lost bytes is reset when
    /// this ends, because no connection goes on after a gap.
    Lost,
}

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    /// From who connects.
    pub(crate) up: Way,
    /// To who connects.
    pub(crate) down: Way,
    /// Whether somebody can connect.
    pub(crate) door: Door,
}

/// What happens to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// They are reset at once.
    Closed,
}

/// How connections are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// With RST to both peers.
    Reset,
    /// With FIN to both peers.
    Close,
}

impl Weather {
    /// Nothing is wrong.
    pub(crate) const FAIR: Self = Self { up: Way::Fair, down: Way::Fair, door: Door::Open };

    /// Nobody gets in.
    pub(crate) const CLOSED: Self = Self { door: Door::Closed, ..Self::FAIR };
}

/// What connections hear of.
#[derive(Clone, Copy)]
struct News {
    weather: Weather,
    /// How many cuts there were.
    cuts: u64,
    last_cut: Cut,
}

/// A link. Dropped, it is gone with its connections.
pub(crate) struct Link {
    /// Where to connect to instead of the real address.
    pub(crate) address: SocketAddr,
    news: watch::Sender<News>,
    _gate: JoinSet<Infallible>,
}

impl Link {
    /// A link to this address, in fair weather.
    pub(crate) async fn to(target: SocketAddr, seed: u64) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(any).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (news, _) =
            watch::channel(News { weather: Weather::FAIR, cuts: 0, last_cut: Cut::Reset });
        let mut gate = JoinSet::new();
        gate.spawn(admit(listener, target, news.subscribe(), fastrand::Rng::with_seed(seed)));
        Self { address, news, _gate: gate }
    }

    /// Changes how the link behaves.
    pub(crate) fn turn(&self, weather: Weather) {
        self.news.send_modify(|it| it.weather = weather);
    }

    /// Ends every connection.
    pub(crate) fn cut(&self, cut: Cut) {
        self.news.send_modify(|it| {
            it.cuts += 1;
            it.last_cut = cut;
        });
    }
}

/// Takes connections for ever. Their number is bounded by the peers, each of which has one or two.
async fn admit(
    listener: TcpListener,
    target: SocketAddr,
    news: watch::Receiver<News>,
    mut rng: fastrand::Rng,
) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((peer, _)) = accepted else { continue };
                if news.borrow().weather.door == Door::Closed {
                    reset(&peer);
                    continue;
                }
                connections.spawn(carry(peer, target, news.clone(), rng.fork()));
            }
            // A connection that ended is one less to keep.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Carries one connection until a peer or the weather ends it.
async fn carry(
    mut peer: TcpStream,
    target: SocketAddr,
    mut news: watch::Receiver<News>,
    mut rng: fastrand::Rng,
) {
    let cuts = news.borrow_and_update().cuts;
    let Ok(mut server) = TcpStream::connect(target).await else { return reset(&peer) };
    if peer.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return reset(&peer);
    }
    let up = Lane { way: |it| it.up, news: news.clone(), rng: rng.fork() };
    let down = Lane { way: |it| it.down, news: news.clone(), rng };
    let end = {
        let (peer_reads, peer_writes) = peer.split();
        let (server_reads, server_writes) = server.split();
        let both = async {
            tokio::try_join!(
                up.carry(peer_reads, server_writes),
                down.carry(server_reads, peer_writes)
            )
        };
        tokio::select! {
            carried = both => if carried.is_ok() { Cut::Close } else { Cut::Reset },
            Ok(it) = news.wait_for(|it| it.cuts > cuts) => it.last_cut,
        }
    };
    if end == Cut::Reset {
        reset(&peer);
        reset(&server);
    }
}

/// One direction of a connection.
struct Lane {
    way: fn(Weather) -> Way,
    news: watch::Receiver<News>,
    rng: fastrand::Rng,
}

impl Lane {
    /// Carries bytes until their end, or until some are missing.
    async fn carry(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut has_gap = false;
        loop {
            let way = (self.way)(self.news.borrow_and_update().weather);
            if has_gap && way != Way::Lost {
                return Err(io::Error::other("bytes are missing"));
            }
            let read = tokio::select! {
                changed = self.news.changed() => {
                    changed.map_err(io::Error::other)?;
                    continue;
                }
                read = from.read(&mut chunk), if way != Way::Stalled => read?,
            };
            let bytes = &chunk[..read];
            match way {
                Way::Lost => {
                    has_gap = true;
                    if bytes.is_empty() {
                        self.news.changed().await.map_err(io::Error::other)?;
                    }
                }
                _ if bytes.is_empty() => return to.shutdown().await,
                Way::Fair | Way::Stalled => to.write_all(bytes).await?,
                Way::Slow { delay, jitter } => {
                    let jitter = jitter.mul_f64(self.rng.f64());
                    sleep_until(Instant::now() + delay + jitter).await;
                    to.write_all(bytes).await?;
                }
                Way::Sliced { bytes: most } => {
                    for piece in bytes.chunks(most) {
                        to.write_all(piece).await?;
                        yield_now().await;
                    }
                }
            }
        }
    }
}

fn reset(stream: &TcpStream) {
    // Closing with a linger of nothing sends RST. Where it fails, the peer sees a FIN.
    let _unlingered = stream.set_zero_linger();
}

#[tokio::test]
async fn a_link_behaves_as_its_weather_says() {
    let (link, listener) = echo().await;
    // Everything arrives, in order, however it is carried.
    let millis = Duration::from_millis;
    for way in
        [Way::Fair, Way::Sliced { bytes: 3 }, Way::Slow { delay: millis(2), jitter: millis(2) }]
    {
        link.turn(Weather { up: way, down: way, ..Weather::FAIR });
        let (mut peer, mut server) = connect(&link, &listener).await;
        exchange(&mut peer, &mut server).await;
        drop(peer);
        assert_eq!(server.read(&mut [0; 9]).await.expect("closed well"), 0, "{way:?}");
    }
    link.turn(Weather::CLOSED);
    let mut refused = TcpStream::connect(link.address).await.expect("the port is there");
    let error = refused.read(&mut [0; 9]).await.expect_err("nobody gets in");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stall_keeps_what_a_gap_loses() {
    let (link, listener) = echo().await;
    let (mut peer, mut server) = connect(&link, &listener).await;
    for (way, is_kept) in [(Way::Stalled, true), (Way::Lost, false)] {
        link.turn(Weather { up: way, ..Weather::FAIR });
        // The other direction goes on.
        server.write_all(b"down").await.expect("there is room");
        peer.read_exact(&mut [0; 4]).await.expect("the way down is open");
        peer.write_all(b"up").await.expect("there is room");
        let silence = timeout(SILENCE, server.read(&mut [0; 2])).await;
        assert!(silence.is_err(), "{way:?}: {silence:?}");
        link.turn(Weather::FAIR);
        let read = server.read_exact(&mut [0; 2]).await;
        assert_eq!(read.is_ok(), is_kept, "{way:?}: {read:?}");
    }
}

#[tokio::test]
async fn a_cut_reaches_both_ends() {
    for (cut, is_end) in [(Cut::Close, true), (Cut::Reset, false)] {
        let (link, listener) = echo().await;
        let (mut peer, mut server) = connect(&link, &listener).await;
        exchange(&mut peer, &mut server).await;
        link.cut(cut);
        for end in [&mut peer, &mut server] {
            let read = end.read(&mut [0; 9]).await;
            assert_eq!(read.is_ok_and(|it| it == 0), is_end, "{cut:?}");
        }
        let (mut peer, mut server) = connect(&link, &listener).await;
        exchange(&mut peer, &mut server).await;
    }
}

/// For how long nothing must arrive.
const SILENCE: Duration = Duration::from_millis(50);

async fn echo() -> (Link, TcpListener) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(any).await.expect("a port is free");
    let target = listener.local_addr().expect("a listener has an address");
    (Link::to(target, 7).await, listener)
}

async fn connect(link: &Link, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let peer = TcpStream::connect(link.address).await.expect("the link listens");
    let (server, _) = listener.accept().await.expect("the link connects");
    (peer, server)
}

/// Sends something both ways.
async fn exchange(peer: &mut TcpStream, server: &mut TcpStream) {
    for is_up in [true, false] {
        let (from, to) =
            if is_up { (&mut *peer, &mut *server) } else { (&mut *server, &mut *peer) };
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1_000).collect();
        from.write_all(&sent).await.expect("there is room");
        let mut received = vec![0; sent.len()];
        to.read_exact(&mut received).await.expect("it arrives");
        assert_eq!(received, sent);
    }
}
