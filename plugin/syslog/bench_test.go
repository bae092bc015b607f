package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// benchmark sends batches of captured messages, of 500 bytes on average, and waits until the receiver's kernel has them.
func benchmark(b *testing.B, c Config) {
	all := messages(b, 8192)
	s := newSender(b, c)
	send(b, s, nil)
	size := 0
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		from := done % len(all)
		batch := all[from:min(from+256, len(all), from+b.N-done)]
		n, err := s.Send(context.Background(), batch)
		if err != nil {
			b.Fatal(err)
		}
		for i := range batch[:n] {
			size += len(batch[i].Text)
		}
		done += n
	}
	must(b, s.Close(context.Background()))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.SetBytes(int64(size / b.N))
}

func discard(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(io.Discard, bufio.NewReaderSize(c, 256<<10))
			c.Close()
		}()
	}
}

func BenchmarkTCP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer l.Close()
	go discard(l)
	benchmark(b, Config{To: "tcp://" + l.Addr().String()})
}

func BenchmarkTLS(b *testing.B) {
	a := newAuthority(b)
	l, err := tls.Listen("tcp", "127.0.0.1:0", a.receiver())
	must(b, err)
	defer l.Close()
	go discard(l)
	benchmark(b, a.config(port(b, l.Addr())))
}

func BenchmarkUnix(b *testing.B) {
	path := b.TempDir() + "/log"
	p, err := net.ListenPacket("unixgram", path)
	must(b, err)
	defer p.Close()
	go func() {
		buf := make([]byte, 1<<16)
		for {
			if _, _, err := p.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	benchmark(b, Config{To: "unix:" + path})
}

// BenchmarkRsyslog is the whole way, with the shipped configuration, until the last message is in the file.
func BenchmarkRsyslog(b *testing.B) {
	_, socket, file := localDaemon(b)
	all := messages(b, 8192)
	s := newSender(b, Config{To: "unix:" + socket})
	b.ResetTimer()
	for done := 0; done < b.N; {
		batch := all[:min(256, b.N-done)]
		send(b, s, batch)
		done += len(batch)
	}
	eventually(b, "all are there", func() bool { return len(lines(file)) == b.N })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
