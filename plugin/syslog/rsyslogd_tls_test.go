package syslog

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// drivers are rsyslog's two libraries for TLS.
var drivers = []string{"gtls", "ossl"}

// needDriver skips a test if rsyslog cannot load a driver.
func needDriver(t *testing.T, name string) {
	t.Helper()
	debian, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_" + name + ".so")
	others, _ := filepath.Glob("/usr/lib*/rsyslog/lmnsd_" + name + ".so")
	if len(debian)+len(others) == 0 {
		t.Skipf("rsyslog's driver %s is not installed (Debian: rsyslog-gnutls, rsyslog-openssl)", name)
	}
}

// central is a daemon with central.conf, for hosts in example.net.
func central(t *testing.T, a *authority, driver string) (d *daemon, port, dir string) {
	t.Helper()
	if _, err := exec.LookPath("rsyslogd"); err == nil {
		needDriver(t, driver)
	}
	dir, port = t.TempDir(), freePort(t)
	cert, key := a.issue("logs.example.net")
	d = newDaemon(t, snippet(t, "central.conf",
		`port="6514"`, `port="`+port+`" address="127.0.0.1"`, `"gtls"`, `"`+driver+`"`, "/var/log/audisp-history", dir,
		"/etc/audisp-history/ca.pem", a.ca, "/etc/audisp-history/certificate.pem", cert, "/etc/audisp-history/key.pem", key))
	d.start(answers("tcp", "127.0.0.1:"+port))
	return d, port, dir
}

// tlsConfig is that of a host which is permitted.
func (a *authority) config(port string) Config {
	cert, key := a.issue("web.example.net")
	return Config{
		To: "tls://127.0.0.1:" + port, ServerName: "logs.example.net", CA: a.ca, Certificate: cert, Key: key, Host: "web.example.net",
	}
}

func TestRsyslogCentral(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			all := messages(t, 9000)
			a := newAuthority(t)
			d, port, dir := central(t, a, driver)
			s := newSender(t, a.config(port))
			s.hold = hold
			rest := all
			for i := range 3 {
				for len(rest) > len(all)*(2-i)/3 {
					n, _ := s.Send(context.Background(), rest[:min(100, len(rest))])
					rest = rest[n:]
				}
				if i < 2 {
					d.stop(syscall.SIGTERM)
					d.start(answers("tcp", "127.0.0.1:"+port))
				}
			}
			settle(t, s)
			must(t, s.Close(context.Background()))
			wantFile(t, filepath.Join(dir, "hosts", "web.example.net.log"), all, false)
			t.Logf("%d messages of %d were sent again", s.Counts().Repeated, len(all))
		})
	}
}

// What is wrong with certificates is said at once, by name, and nothing is taken.
func TestRsyslogCentralRefuses(t *testing.T) {
	for _, driver := range drivers {
		a, other := newAuthority(t), newAuthority(t)
		_, port, dir := central(t, a, driver)
		for name, c := range map[string]struct {
			change func(*Config)
			want   []string
		}{
			"wrong authority":       {func(c *Config) { c.CA = other.ca }, []string{"signed by unknown authority", "set syslog.ca to the right one", other.ca}},
			"not the system's":      {func(c *Config) { c.CA = "" }, []string{"signed by unknown authority", "not from an authority that this system trusts: set syslog.ca"}},
			"wrong name":            {func(c *Config) { c.ServerName = "other.example.net" }, []string{"valid for logs.example.net, not other.example.net", "set syslog.server_name"}},
			"no certificate":        {func(c *Config) { c.Certificate, c.Key = "", "" }, []string{"it asks for a certificate: set syslog.certificate and syslog.key"}},
			"another's certificate": {func(c *Config) { c.Certificate, c.Key = other.issue("web.example.net") }, []string{"it may not accept " + other.dir, "syslog.certificate"}},
			"name not permitted":    {func(c *Config) { c.Certificate, c.Key = a.issue("web.example.org") }, []string{"it may not accept " + a.dir, "with a name it permits"}},
		} {
			t.Run(driver+", "+name, func(t *testing.T) {
				conf := a.config(port)
				c.change(&conf)
				s := newSender(t, conf)
				n, err := s.Send(context.Background(), numbered(10, 100))
				wantError(t, err, append(c.want, "syslog receiver tls://127.0.0.1:"+port)...)
				if n != 0 {
					t.Errorf("%d messages taken", n)
				}
				t.Log(err)
			})
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "hosts", "*")); len(files) > 0 {
			t.Errorf("%v were written", files)
		}
	}
}

// The records take two daemons: one beside the program, with a queue on disk, and the central one, which is away for a
// time, and while it is the first is started anew.
func TestRsyslogForward(t *testing.T) {
	all := messages(t, 4000)
	a := newAuthority(t)
	far, port, dir := central(t, a, "gtls")
	cert, key := a.issue("web.example.net")
	socket := filepath.Join(socketDir(t), "syslog")
	near := newDaemon(t, `global(localHostname="web.example.net")`+"\n"+snippet(t, "forward.conf", "/run/audisp-history/syslog", socket,
		`target="logs.example.net" port="6514"`, `target="127.0.0.1" port="`+port+`"`, `resumeInterval="5"`, `resumeInterval="1"`,
		"/etc/audisp-history/ca.pem", a.ca, "/etc/audisp-history/certificate.pem", cert, "/etc/audisp-history/key.pem", key))
	near.start(answers("unixgram", socket))

	file := filepath.Join(dir, "hosts", "web.example.net.log")
	s := newSender(t, Config{To: "unix:" + socket})
	send(t, s, all[:1000])
	wantFile(t, file, all[:1000], true)
	far.stop(syscall.SIGTERM)
	send(t, s, all[1000:2000])
	settle(t, s)
	near.stop(syscall.SIGTERM)
	queue, err := filepath.Glob(filepath.Join(near.dir, "work", "audisp-history.*"))
	if err != nil || len(queue) == 0 {
		t.Errorf("nothing was queued on disk: %v", err)
	}
	near.start(answers("unixgram", socket))
	send(t, s, all[2000:3000])
	far.start(answers("tcp", "127.0.0.1:"+port))
	send(t, s, all[3000:])
	// The first message after the end of the connection, and those behind it until rsyslog notices, are lost: rsyslog
	// does not ask whether the connection still stands, as this program does.
	const noticed = 1200
	defer func() { t.Logf("rsyslog lost %v", missing(lines(file), all)) }()
	eventually(t, "the others are there", func() bool { return len(missing(lines(file), all[noticed:])) == 0 })
	if lost := missing(lines(file), all[:1000]); len(lost) > 0 {
		t.Errorf("%v are missing", lost)
	}
}

// missing are the numbers of the messages that did not arrive. In what order they did, a queue on disk does not keep.
func missing(got []string, sent []Message) []int {
	there := map[string]bool{}
	for _, g := range got {
		there[g] = true
	}
	var list []int
	for i, m := range escaped(sent) {
		if !there[string(m.Text)] {
			list = append(list, i)
		}
	}
	return list
}
