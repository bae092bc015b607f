package syslog

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A wire is a socket as TLS sees it. Between calls of Send nobody waits for it: once it is buffered, reading returns what
// is there, and writing puts off what it is given. So a receiver that is slow never breaks a TLS record in two.
type wire struct {
	net.Conn
	raw      syscall.RawConn
	stream   bool
	buffered bool
	out      []byte // given to the wire, not yet to the socket
	sent     uint64 // bytes the socket was given
}

func newWire(conn net.Conn, stream bool) (*wire, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	return &wire{Conn: conn, raw: raw, stream: stream}, err
}

// Read reads, if the wire is buffered without waiting: os.ErrDeadlineExceeded says that there is nothing.
func (w *wire) Read(b []byte) (int, error) {
	if !w.buffered {
		return w.Conn.Read(b)
	}
	n, err := 0, error(nil)
	control := w.raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
	})
	switch {
	case control != nil:
		return 0, control
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.NewSyscallError("recv", err)
	case n == 0 && w.stream:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes, if the wire is buffered to out only.
func (w *wire) Write(b []byte) (int, error) {
	if w.buffered {
		w.out = append(w.out, b...)
		return len(b), nil
	}
	n, err := w.Conn.Write(b)
	w.sent += uint64(n)
	return n, err
}

// end is where the stream ends when everything is written.
func (w *wire) end() uint64 { return w.sent + uint64(len(w.out)) }

// flush writes out to the socket. What the socket does not take within the timeout stays in out.
func (w *wire) flush(ctx context.Context, timeout time.Duration) error {
	if len(w.out) == 0 {
		return nil
	}
	defer interrupt(ctx, w.Conn)()
	if err := w.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n, err := w.Conn.Write(w.out)
	w.sent += uint64(n)
	w.out = w.out[:copy(w.out, w.out[n:])]
	return err
}

// unread is how many bytes the other side has not taken: for TCP those that its kernel has not acknowledged; for a local
// socket those that it has not read, and what the kernel needs to keep them.
func (w *wire) unread() (uint64, bool) {
	n, err := 0, error(nil)
	control := w.raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if control != nil || err != nil || n < 0 {
		return 0, false
	}
	return uint64(n), true
}

// ended reports whether the other side has closed a stream after it had read all that came. The Linux kernel resets a
// connection that is closed with unread bytes (net/ipv4/tcp.c: __tcp_close).
func (w *wire) ended() bool {
	ended := false
	_ = w.raw.Control(func(fd uintptr) { // a socket that cannot be asked has not ended well
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT|unix.MSG_PEEK)
		if n != 0 || err != nil {
			return
		}
		failed, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		ended = failed == 0 && err == nil
	})
	return ended
}

// interrupt makes a conn's reads and writes fail when ctx ends, until the function it returns is called.
func interrupt(ctx context.Context, conn net.Conn) (stop func()) {
	done := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only if it is closed
	})
	return func() {
		if !stopped() {
			<-done
		}
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
