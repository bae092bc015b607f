package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// receiver is the configuration of one with a certificate, which wants one of its clients.
func (a *authority) receiver(change ...func(*x509.Certificate)) *tls.Config {
	a.t.Helper()
	cert, err := tls.LoadX509KeyPair(a.issue("logs.example.net", change...))
	must(a.t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.parsed())
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
}

func (a *authority) parsed() *x509.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.ca, filepath.Join(a.dir, "ca-key.pem"))
	must(a.t, err)
	return pair.Leaf
}

func port(t testing.TB, a net.Addr) string {
	t.Helper()
	_, p, err := net.SplitHostPort(a.String())
	must(t, err)
	return p
}

// listenTLS is a receiver that reads everything.
func listenTLS(t *testing.T, c *tls.Config) *fake {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	must(t, err)
	f := &fake{listener: l}
	t.Cleanup(f.close)
	go f.accept(Octets)
	return f
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			all := messages(t, 3000)
			c := a.receiver()
			c.MinVersion, c.MaxVersion = version, version
			f := listenTLS(t, c)
			s := newSender(t, a.config(port(t, f.listener.Addr())))
			send(t, s, all)
			must(t, s.Close(context.Background()))
			eventually(t, "all are there", func() bool { return f.count() >= len(all) })
			wantAll(t, f.received(), all, true)
			if f.bad != nil {
				t.Error(f.bad)
			}
		})
	}
}

func TestTLSErrorsNameTheRemedy(t *testing.T) {
	a := newAuthority(t)
	plain := listen(t, "tcp", "127.0.0.1:0", Octets)
	bad := filepath.Join(t.TempDir(), "bad.pem")
	must(t, os.WriteFile(bad, []byte("no certificate"), 0o600))
	old := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }
	oldTLS := a.receiver()
	oldTLS.MaxVersion = tls.VersionTLS11
	good, twelve := listenTLS(t, a.receiver()), a.receiver()
	twelve.MaxVersion = tls.VersionTLS12
	for name, c := range map[string]struct {
		to     *fake
		change func(*Config)
		want   string
	}{
		"expired":           {listenTLS(t, a.receiver(old)), func(*Config) {}, "its certificate is not valid now: renew it, or set the clock right"},
		"not a server's":    {listenTLS(t, a.receiver(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] })), func(*Config) {}, "not fit for a server"},
		"a name only in CN": {listenTLS(t, a.receiver(func(c *x509.Certificate) { c.DNSNames = nil })), func(*Config) {}, "set syslog.server_name"},
		"old TLS":           {listenTLS(t, oldTLS), func(*Config) {}, "it must offer TLS 1.2 or later"},
		"no certificate":    {listenTLS(t, twelve), func(c *Config) { c.Certificate, c.Key = "", "" }, "it asks for a certificate: set syslog.certificate"},
		"no TLS":            {plain, func(c *Config) { c.ConnectTimeout = 5 * time.Second }, "its own log may say why"},
		"own expired":       {good, func(c *Config) { c.Certificate, c.Key = a.issue("web.example.net", old) }, "is no longer valid since"},
		"no CA file":        {good, func(c *Config) { c.CA = "/nowhere/ca.pem" }, "syslog.ca: open /nowhere/ca.pem: no such file"},
		"bad CA file":       {good, func(c *Config) { c.CA = bad }, "holds no certificate in PEM"},
		"bad certificate":   {good, func(c *Config) { c.Certificate = bad }, "syslog.certificate: " + bad},
		"key of another":    {good, func(c *Config) { _, c.Key = a.issue("web.example.net") }, "private key does not match public key"},
		"unknown host":      {good, func(c *Config) { c.To = "tls://no..host" }, "its name cannot be looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := a.config(port(t, c.to.listener.Addr()))
			c.change(&conf)
			s := newSender(t, conf)
			n, err := s.Send(context.Background(), numbered(1, 10))
			wantError(t, err, "syslog receiver "+conf.To, c.want)
			if n != 0 || s.link != nil {
				t.Error(n)
			}
			t.Log(err)
		})
	}
}

// A port that answers, but not in TLS, such as that of a web server.
func TestAnswersOtherThanTLS(t *testing.T) {
	l, conns := silent(t)
	go func() {
		for c := range conns {
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}
	}()
	s := newSender(t, newAuthority(t).config(port(t, l.Addr())))
	_, err := s.Send(context.Background(), nil)
	wantError(t, err, "it does not speak TLS there")
}

func TestAReceiverThatNeverAnswers(t *testing.T) {
	l, _ := silent(t)
	c := newAuthority(t).config(port(t, l.Addr()))
	c.ConnectTimeout = 20 * time.Millisecond
	s := newSender(t, c)
	_, err := s.Send(context.Background(), nil)
	wantError(t, err, "deadline exceeded", "see whether it runs, and whether a firewall is in between")
}

// A certificate that is renewed on disk is used from the next connection on.
func TestARenewedCertificateIsUsed(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	f := listenTLS(t, a.receiver())
	c := a.config(port(t, f.listener.Addr()))
	good, goodKey := c.Certificate, c.Key
	c.Certificate, c.Key = other.issue("web.example.net")
	s := newSender(t, c)
	_, err := s.Send(context.Background(), nil)
	wantError(t, err, "it may not accept "+c.Certificate)
	must(t, os.Rename(good, c.Certificate))
	must(t, os.Rename(goodKey, c.Key))
	send(t, s, numbered(1, 10))
	eventually(t, "it is there", func() bool { return f.count() == 1 })
}

// A receiver that is slow does not break the connection, which would have to begin anew and send much twice.
func TestASlowReceiverOverTLSGetsEverythingOnce(t *testing.T) {
	all := numbered(30000, 400)
	a := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", a.receiver())
	must(t, err)
	t.Cleanup(func() { l.Close() })
	conns := make(chan *tls.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			must(t, c.(*tls.Conn).Handshake())
			conns <- c.(*tls.Conn)
		}
	}()
	c := a.config(port(t, l.Addr()))
	c.WriteTimeout = 20 * time.Millisecond
	s := newSender(t, c)
	n := 0
	for range 4 {
		more, err := s.Send(context.Background(), all[n:])
		if n += more; !errors.Is(err, errStalled) {
			t.Fatal(err)
		}
	}
	f := &fake{}
	t.Cleanup(f.close)
	go f.serve(<-conns, Octets)
	sendAll(t, s, all[n:])
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
}

// A receiver that refuses only after it was given messages, again and again, costs none of them.
func TestNothingIsLostToAReceiverThatRefusesLate(t *testing.T) {
	all := numbered(1000, 100)
	a := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", a.receiver())
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1))
			}()
		}
	}()
	s := newSender(t, a.config(port(t, l.Addr())))
	s.hold = time.Hour
	taken, failed := 0, 0
	eventually(t, "it fails again and again", func() bool {
		n, err := s.Send(context.Background(), all[taken:min(taken+2, len(all))])
		if taken += n; err != nil {
			wantError(t, err, "unless it was stopped, it may not accept "+s.conf.Certificate)
			failed++
		}
		return failed == 3
	})
	if s.Unconfirmed() != taken || taken == 0 {
		t.Errorf("%d taken, %d kept", taken, s.Unconfirmed())
	}
}
