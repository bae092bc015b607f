package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// secure puts TLS on a link.
func (l *link) secure(ctx context.Context, c *Config, host string) error {
	config, err := l.tlsConfig(c, host)
	if err != nil {
		return err
	}
	l.buffered = false
	defer func() { l.buffered = true }()
	l.tls = tls.Client(l.wire, config)
	begin := time.Now()
	if err := l.tls.HandshakeContext(ctx); err != nil {
		var alert *net.OpError
		if errors.As(err, &alert) && alert.Op == "remote error" {
			return &refusedError{asked: l.asked, cause: err}
		}
		return err
	}
	return l.settle(ctx, min(2*time.Since(begin)+100*time.Millisecond, time.Second))
}

// settle waits for a receiver that has second thoughts. With TLS 1.3 the handshake ends before the receiver has seen the
// certificate it asked for, and some look at its names only when the handshake is over.
func (l *link) settle(ctx context.Context, wait time.Duration) error {
	defer interrupt(ctx, l.Conn)()
	if err := l.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	var b [1]byte
	_, err := l.tls.Read(b[:])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !isTimeout(err) {
		return &refusedError{asked: l.asked, cause: err}
	}
	return l.SetReadDeadline(time.Time{})
}

// tlsConfig reads the files that c names.
func (l *link) tlsConfig(c *Config, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.ServerName != "" {
		config.ServerName = c.ServerName
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, &KeyError{"ca", err.Error()}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &KeyError{"ca", c.CA + " holds no certificate in PEM"}
		}
	}
	var own tls.Certificate
	if c.Certificate != "" {
		var err error
		if own, err = readCertificate(c); err != nil {
			return nil, err
		}
	}
	// Shown whatever authorities the receiver names, so that it says itself why it does not like it.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		l.asked = true
		return &own, nil
	}
	return config, nil
}

func readCertificate(c *Config) (tls.Certificate, error) {
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return own, &KeyError{"certificate", fmt.Sprintf("%s and key %s: %v", c.Certificate, c.Key, err)}
	}
	if now, end := time.Now(), own.Leaf.NotAfter; now.After(end) {
		return own, &KeyError{"certificate", fmt.Sprintf("%s is no longer valid since %s: renew it", c.Certificate, end.UTC().Format(time.DateTime))}
	}
	return own, nil
}
