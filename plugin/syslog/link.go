package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// chunkBytes is how much a stream is given at once.
	chunkBytes = 64 << 10
	// deadPeer is when the kernel gives up a peer that acknowledges nothing (tcp(7): TCP_USER_TIMEOUT); without it that
	// takes a quarter of an hour. A receiver that has stopped reading is given up as well, so it is not too short.
	deadPeer = 2 * time.Minute
	// maxChecks bounds what is read of a receiver that has something to say.
	maxChecks = 16
)

// A link is one connection.
type link struct {
	*wire
	tls     *tls.Conn // nil without TLS
	asked   bool      // the receiver wants to see a certificate
	framing Framing
	most    int // the longest datagram
	born    time.Time
	proven  bool   // it has lasted
	path    string // of a local socket
	node    os.FileInfo
	frames  []byte // scratch
}

// errReplaced says that another program has made a new socket where the one connected to was.
var errReplaced = errors.New("the socket has been replaced")

// dial connects. It blocks until ctx ends at the most.
func dial(ctx context.Context, to *receiver, framing Framing) (*link, error) {
	if to.scheme == "unix" {
		return dialLocal(ctx, to.address)
	}
	network := "tcp"
	if to.scheme == "udp" {
		network = "udp"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, to.address)
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn, network == "tcp")
	if err != nil {
		return nil, err
	}
	l.framing, l.most = framing, maxDatagram
	if l.stream {
		_ = l.raw.Control(func(fd uintptr) { // what it is worth, it lasts a quarter of an hour without
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
		})
	}
	return l, nil
}

// dialLocal connects to a datagram socket, or to a stream socket if it is one, as syslog(3) does.
func dialLocal(ctx context.Context, path string) (*link, error) {
	node, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixgram", path)
	stream := errors.Is(err, unix.EPROTOTYPE)
	if stream {
		conn, err = d.DialContext(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn, stream)
	if err != nil {
		return nil, err
	}
	l.proven, l.path, l.node, l.framing = true, path, node, Newline
	l.most = maxDatagram
	_ = l.raw.Control(func(fd uintptr) { // without it the daemon knows less, and the smaller bound holds
		// So that it knows whose even those messages are that come before it says that it wants to know (journald,
		// rsyslog's Annotate; net/unix/af_unix.c: maybe_add_creds).
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
			l.most = n - 32 // net/unix/af_unix.c: unix_dgram_sendmsg
		}
	})
	return l, nil
}

func newLink(conn net.Conn, stream bool) (*link, error) {
	w, err := newWire(conn, stream)
	if err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	w.buffered = true
	return &link{wire: w, born: time.Now()}, nil
}

// check tells whether the other side has closed the connection, without waiting for anything.
func (l *link) check() error {
	if l.local() {
		now, err := os.Stat(l.path)
		if err == nil && !(os.SameFile(now, l.node) && now.ModTime().Equal(l.node.ModTime())) {
			return errReplaced
		}
		if !l.stream {
			return probe(l.path)
		}
	}
	var b [4096]byte
	for range maxChecks { // receivers of syslog say nothing, but TLS does
		_, err := l.coat().Read(b[:])
		if isTimeout(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// probe tells whether a datagram socket has an owner. Only connecting tells that without sending anything.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil // too many files are open: the next message tells
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	_ = unix.Close(fd) // nothing was sent
	return os.NewSyscallError("connect", err)
}

func (l *link) local() bool { return l.path != "" }

// coat is what a stream's messages go through.
func (l *link) coat() net.Conn {
	if l.tls != nil {
		return l.tls
	}
	return l.wire
}

// put writes messages into a stream; the socket gets them with the next flush.
func (l *link) put(text []byte, items []item) error {
	l.frames = l.frames[:0]
	for i := range items {
		l.frames = appendFrame(l.frames, text[:items[i].size], l.framing)
		text = text[items[i].size:]
	}
	_, err := l.coat().Write(l.frames)
	return err
}

// datagram sends one message.
func (l *link) datagram(ctx context.Context, timeout time.Duration, message []byte) error {
	defer interrupt(ctx, l.Conn)()
	if err := l.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := l.Conn.Write(message)
	return err
}

// finish tells a stream's receiver that no more comes, and waits until it has read everything and says the same.
func (l *link) finish(ctx context.Context, timeout time.Duration) error {
	if l.tls != nil {
		if err := l.tls.CloseWrite(); err != nil {
			return err
		}
	}
	if err := l.flush(ctx, timeout); err != nil {
		return err
	}
	half, ok := l.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	defer interrupt(ctx, l.Conn)()
	if err := l.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var b [4096]byte
	for {
		// Below TLS: its closing message is read over, the end of the stream is what counts.
		if _, err := l.Conn.Read(b[:]); err != nil {
			return err
		}
	}
}
