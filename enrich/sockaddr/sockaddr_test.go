package sockaddr

import (
	"encoding/hex"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, saddr           string
		family, ip, path, abs string
		port, scope, groups   uint32
	}{
		{name: "IPv4", saddr: "02000035C0A80101", family: "inet", ip: "192.168.1.1", port: 53},
		{name: "IPv4 with padding", saddr: "02001F907F0000010000000000000000", family: "inet", ip: "127.0.0.1", port: 8080},
		{name: "IPv6", saddr: "0A0001BB0000000020010DB8000000000000000000000001", family: "inet6", ip: "2001:db8::1", port: 443},
		{name: "IPv6, link-local", saddr: "0A00001600000000FE80000000000000000000000000000103000000", family: "inet6", ip: "fe80::1", port: 22, scope: 3},
		{name: "path", saddr: "01002F72756E2F78", family: "unix", path: "/run/x"},
		{name: "path and what is behind it", saddr: "01002F72756E2F780041", family: "unix", path: "/run/x"},
		{name: "abstract", saddr: "0100002F746D702F78", family: "unix", abs: "/tmp/x"},
		{name: "no name", saddr: "0100", family: "unix"},
		{name: "netlink", saddr: "100000000700000002000000", family: "netlink", scope: 7, groups: 2},
		{name: "vsock", saddr: "28000000D204000003000000", family: "vsock", port: 1234, scope: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := hex.DecodeString(c.saddr)
			a, ok := Parse(b)
			ip := ""
			if a.IP.IsValid() {
				ip = a.IP.String()
			}
			if !ok || a.FamilyName() != c.family || ip != c.ip || a.Port != c.port || string(a.Path) != c.path ||
				string(a.Abstract) != c.abs || a.Scope != c.scope || a.Groups != c.groups {
				t.Errorf("%v %s %+v", ok, a.FamilyName(), a)
			}
		})
	}
}

func TestParseBigEndian(t *testing.T) {
	a, ok := Parse([]byte{0, 2, 0, 80, 10, 0, 0, 1})
	if !ok || a.IP.String() != "10.0.0.1" || a.Port != 80 {
		t.Errorf("%v %+v", ok, a)
	}
}

func TestParseWhatIsUnknownOrShort(t *testing.T) {
	for saddr, family := range map[string]string{
		"": "0", "02": "0", "020000": "inet", "0200003501": "inet", "0A0001BB00000000": "inet6", "10000000": "netlink",
		"2800": "vsock", "1100AABB": "17", "FFFF": "65535",
	} {
		b, _ := hex.DecodeString(saddr)
		if a, ok := Parse(b); ok || a.FamilyName() != family {
			t.Errorf("%s: %v, family %s, want %s", saddr, ok, a.FamilyName(), family)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{2, 0, 0, 53, 1, 2, 3, 4})
	f.Add([]byte{1, 0, 0, 'x', 0})
	f.Add([]byte{10, 0, 0, 53, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := Parse(b); ok && a.HasPort() != a.IP.IsValid() {
			t.Errorf("%x: %+v", b, a)
		}
	})
}
