package syslog

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// datagrams makes a local daemon that reads everything.
func datagrams(t *testing.T, network, address string) *fake {
	t.Helper()
	p := silentDatagrams(t, network, address)
	f := &fake{packet: p}
	go f.read()
	return f
}

func silentDatagrams(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	p, err := net.ListenPacket(network, address)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func (f *fake) read() {
	b := make([]byte, 1<<20)
	for {
		n, _, err := f.packet.ReadFrom(b)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.got = append(f.got, textOf(string(b[:n])))
		f.mu.Unlock()
	}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "log") }

func TestLocalDatagrams(t *testing.T) {
	all := messages(t, 3000)
	path := socketPath(t)
	f := datagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path})
	send(t, s, all)
	must(t, s.Close(context.Background()))
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
}

func TestLocalStream(t *testing.T) {
	all := messages(t, 3000)
	path := socketPath(t)
	f := listen(t, "unix", path, Newline)
	s := newSender(t, Config{To: "unix://" + path})
	send(t, s, all)
	must(t, s.Close(context.Background()))
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
}

// A daemon that is started anew makes its socket anew.
func TestALocalDaemonStartedAnew(t *testing.T) {
	path := socketPath(t)
	for name, start := range map[string]func() *fake{
		"datagrams": func() *fake { return datagrams(t, "unixgram", path) },
		"a stream":  func() *fake { return listen(t, "unix", path, Newline) },
	} {
		t.Run(name, func(t *testing.T) {
			all := numbered(300, 200)
			s := newSender(t, Config{To: "unix:" + path})
			var got []string
			for i := range 3 {
				f := start()
				send(t, s, all[i*100:i*100+100])
				eventually(t, "a part is there", func() bool { return f.count() >= 100 })
				settle(t, s)
				f.close()
				os.Remove(path)
				got = append(got, f.received()...)
			}
			wantAll(t, got, all, true)
		})
	}
}

// Another daemon may take over the name while the one before still holds its socket.
func TestALocalSocketThatIsReplaced(t *testing.T) {
	all := numbered(20, 200)
	path := socketPath(t)
	old := datagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path})
	send(t, s, all[:10])
	eventually(t, "the first half is there", func() bool { return old.count() == 10 })
	settle(t, s)
	must(t, os.Rename(path, path+".old"))
	f := datagrams(t, "unixgram", path)
	send(t, s, all[10:])
	eventually(t, "the second half is there", func() bool { return f.count() == 10 })
	wantAll(t, append(old.received(), f.received()...), all, true)
}

// The queue of a datagram socket goes with the daemon that has not read it.
func TestWhatALocalDaemonHasNotReadIsSentAgain(t *testing.T) {
	all := numbered(5, 200)
	path := socketPath(t)
	p := silentDatagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path})
	send(t, s, all)
	if s.Unconfirmed() != 5 {
		t.Fatalf("%d unconfirmed", s.Unconfirmed())
	}
	p.Close()
	must(t, os.Remove(path))
	f := datagrams(t, "unixgram", path)
	send(t, s, numbered(6, 200)[5:])
	eventually(t, "all are there", func() bool { return f.count() >= 6 })
	wantAll(t, f.received(), numbered(6, 200), true)
}

// A daemon that reads nothing is waited for as long as is said, and gets everything once when it goes on.
func TestALocalDaemonThatHangs(t *testing.T) {
	all := numbered(2000, 200)
	path := socketPath(t)
	p := silentDatagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path, WriteTimeout: 20 * time.Millisecond})
	n, err := s.Send(context.Background(), all)
	wantError(t, err, "syslog receiver unix:"+path, "takes no messages")
	for range 3 {
		more, err := s.Send(context.Background(), all[n:])
		if n += more; !errors.Is(err, errStalled) || s.link == nil {
			t.Fatal(err)
		}
	}
	f := &fake{packet: p}
	go f.read()
	sendAll(t, s, all[n:])
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
}

func TestLocalErrorsNameTheRemedy(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	p := silentDatagrams(t, "unixgram", filepath.Join(dir, "dead"))
	p.Close()
	for name, remedy := range map[string]string{
		"missing": "there is no such socket: start the syslog daemon, or set syslog.to",
		"file":    "nobody listens there: start the receiver, or set syslog.to",
		"dead":    "nobody listens there: start the receiver, or set syslog.to",
	} {
		s := newSender(t, Config{To: "unix:" + filepath.Join(dir, name)})
		n, err := s.Send(context.Background(), numbered(1, 10))
		wantError(t, err, "syslog receiver unix:"+filepath.Join(dir, name), remedy)
		if n != 0 {
			t.Error(n)
		}
	}
}

// The daemon knows who has sent a message even if it asks only after that, as rsyslogd does while it starts.
func TestADaemonThatAsksLateKnowsTheSender(t *testing.T) {
	path := socketPath(t)
	p := silentDatagrams(t, "unixgram", path).(*net.UnixConn)
	s := newSender(t, Config{To: "unix:" + path})
	send(t, s, numbered(1, 100))
	raw, err := p.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }))
	must(t, err)
	oob := make([]byte, 100)
	_, n, _, _, err := p.ReadMsgUnix(make([]byte, 1000), oob)
	must(t, err)
	control, err := unix.ParseSocketControlMessage(oob[:n])
	must(t, err)
	if len(control) != 1 {
		t.Fatal("it does not know")
	}
	sender, err := unix.ParseUnixCredentials(&control[0])
	must(t, err)
	if int(sender.Pid) != os.Getpid() {
		t.Error(sender)
	}
}

// A record that does not fit a datagram without a history is cut, says so, and is counted.
func TestARecordLongerThanADatagram(t *testing.T) {
	path := socketPath(t)
	f := datagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path, MaxBytes: 1000})
	send(t, s, numbered(1, 2000))
	eventually(t, "it is there", func() bool { return f.count() == 1 })
	if got := f.received()[0]; len(got) < 900 || len(got) > 1000 || !strings.Contains(got, "xxx truncated=1") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	if s.Counts().Truncated != 1 {
		t.Error(s.Counts())
	}
}

// The kernel has the last word on how long a datagram may be.
func TestADatagramTooLongForTheKernel(t *testing.T) {
	path := socketPath(t)
	f := datagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path, MaxBytes: MostBytes})
	send(t, s, nil)
	limit := s.link.most
	s.link.most = MostBytes // as if it could not be asked
	all := numbered(2, 2*limit)
	send(t, s, all)
	eventually(t, "they are there", func() bool { return f.count() == 2 })
	for _, got := range f.received() {
		if len(got) > limit || len(got) < limit/3 || !strings.Contains(got, "xxx truncated=") {
			t.Errorf("%d bytes, limit %d", len(got), limit)
		}
	}
	if s.Counts().Truncated < 2 || s.link.most > limit {
		t.Error(s.Counts(), s.link.most)
	}
}

func TestUDP(t *testing.T) {
	all := messages(t, 200)
	f := datagrams(t, "udp", "127.0.0.1:0")
	s := newSender(t, Config{To: "udp://" + f.packet.LocalAddr().String(), Host: "h"})
	for i := range all {
		send(t, s, all[i:i+1])
		eventually(t, "it is there", func() bool { return f.count() > i }) // UDP drops what is not read in time
	}
	wantAll(t, f.received(), all, true)
}

// What UDP tells, by ICMP, is not lost.
func TestUDPReceiverStartedAnew(t *testing.T) {
	all := numbered(30, 200)
	p := silentDatagrams(t, "udp", "127.0.0.1:0")
	p.Close()
	s := newSender(t, Config{To: "udp://" + p.LocalAddr().String(), Host: "h"})
	s.hold = time.Hour
	taken := 0
	for range 5 {
		n, err := s.Send(context.Background(), all[taken:taken+2])
		if taken += n; err != nil {
			wantError(t, err, "nobody listens there")
		}
	}
	if taken == 0 || s.Unconfirmed() != taken {
		t.Fatalf("%d taken, %d unconfirmed", taken, s.Unconfirmed())
	}
	f := datagrams(t, "udp", p.LocalAddr().String())
	eventually(t, "the sender goes on", func() bool { n, err := s.Send(context.Background(), all[taken:]); taken += n; return err == nil })
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, false)
}

// An error that only says to wait does not cost the connection.
func TestNoBuffersIsAStall(t *testing.T) {
	path := socketPath(t)
	datagrams(t, "unixgram", path)
	s := newSender(t, Config{To: "unix:" + path})
	send(t, s, nil)
	if err := s.judge(context.Background(), unix.ENOBUFS); !errors.Is(err, errStalled) || s.link == nil {
		t.Error(err)
	}
}
