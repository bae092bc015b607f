package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// A refusedError is that of a receiver which ended a connection it had only just accepted.
type refusedError struct {
	asked bool // for a certificate
	later bool // it had been given messages
	cause error
}

func (e *refusedError) Error() string {
	return "the new connection has ended: " + e.cause.Error()
}

func (e *refusedError) Unwrap() error { return e.cause }

// explain names the receiver in an error, and what can be done.
func (s *Sender) explain(err error) error {
	var key *KeyError
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.As(err, &key) {
		return fmt.Errorf("syslog receiver %s: %w", s.conf.To, err)
	}
	return fmt.Errorf("syslog receiver %s: %w: %s", s.conf.To, err, s.remedy(err))
}

func (s *Sender) remedy(err error) string {
	if s.to.scheme == "tls" {
		if r := s.remedyTLS(err); r != "" {
			return r
		}
	}
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return "its name cannot be looked up: set syslog.to, or repair the name service"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket: start the syslog daemon, or set syslog.to"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "this is not allowed: permit it to this program, or set syslog.to"
	case errors.Is(err, unix.ECONNREFUSED):
		return "nobody listens there: start the receiver, or set syslog.to"
	case errors.Is(err, errStalled):
		return "see what holds it up; messages wait until it goes on"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.ETIMEDOUT), isTimeout(err):
		return "see whether it runs, and whether a firewall is in between"
	case errors.Is(err, unix.ENOTSOCK), errors.Is(err, unix.ENOTDIR):
		return "this is not a socket: set syslog.to"
	}
	return "its own log may say why"
}

func (s *Sender) remedyTLS(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		header    tls.RecordHeaderError
		refused   *refusedError
	)
	switch {
	case errors.As(err, &authority) && s.conf.CA != "":
		return "its certificate is not from an authority in " + s.conf.CA + ": set syslog.ca to the right one"
	case errors.As(err, &authority):
		return "its certificate is not from an authority that this system trusts: set syslog.ca"
	case errors.As(err, &name):
		return "its certificate is for another name: set syslog.server_name, or give it the right certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate is not valid now: renew it, or set the clock right"
	case errors.As(err, &invalid):
		return "its certificate is not fit for a server: give it another"
	case errors.As(err, &header):
		return "it does not speak TLS there: set syslog.to to its port for TLS, or write tcp://"
	case errors.As(err, &refused):
		remedy := s.remedyRefused(refused)
		if refused.later {
			return "unless it was stopped, " + remedy
		}
		return remedy
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET):
		return "it may not speak TLS there, or not like this program: its own log may say why"
	}
	return ""
}

// remedyRefused tells what to do if a receiver ends a connection for a reason of its own.
func (s *Sender) remedyRefused(e *refusedError) string {
	switch {
	case strings.Contains(e.cause.Error(), "protocol version"): // of the alert only the text can be had
		return "it must offer TLS 1.2 or later"
	case s.conf.Certificate != "":
		return "it may not accept " + s.conf.Certificate + ": use a certificate from its authority with a name it permits (syslog.certificate)"
	case e.asked:
		return "it asks for a certificate: set syslog.certificate and syslog.key"
	}
	return "its own log may say why"
}
