// Package sockaddr reads the addresses of sockets as the kernel writes them into SOCKADDR records: saddr= is the bytes
// of a struct sockaddr in hexadecimal (kernel/auditsc.c: audit_log_exit).
package sockaddr

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Address families that are known here (include/linux/socket.h).
const (
	unix    = 1
	inet    = 2
	inet6   = 10
	netlink = 16
	vsock   = 40
)

// An Address is where a socket is, or what it is connected to. Its byte slices are parts of what it was parsed from.
type Address struct {
	Family uint16
	// Of inet and inet6: the address, and the port in the host's order.
	IP   netip.Addr
	Port uint32
	// Of unix: the path, or the abstract name without the NUL that it begins with. A socket without a name has neither.
	Path, Abstract []byte
	// Of inet6: the interface of a link-local address, 0 if none. Of vsock: the context id. Of netlink: the port id, which
	// mostly is a pid.
	Scope uint32
	// Of netlink: the multicast groups.
	Groups uint32
}

// FamilyName is the family as Linux names it without AF_, a decimal number for one that is not known here.
func (a *Address) FamilyName() string {
	switch a.Family {
	case unix:
		return "unix"
	case inet:
		return "inet"
	case inet6:
		return "inet6"
	case netlink:
		return "netlink"
	case vsock:
		return "vsock"
	}
	return strconv.Itoa(int(a.Family))
}

// HasPort reports whether the address is one with an IP address and a port.
func (a *Address) HasPort() bool { return a.Family == inet || a.Family == inet6 }

// IsNetlink reports whether Scope and Groups are those of a netlink socket.
func (a *Address) IsNetlink() bool { return a.Family == netlink }

// IsVsock reports whether Scope and Port are those of a socket to a virtual machine.
func (a *Address) IsVsock() bool { return a.Family == vsock }

// Parse reads the bytes of a struct sockaddr. It reports false, and gives no more than the family, for what it does not
// know or what is too short.
//
// Some numbers are in the order of the machine the record comes from, which need not be this one. No family is above
// 255, so the family tells which order that is.
func Parse(b []byte) (Address, bool) {
	if len(b) < 2 {
		return Address{}, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 0 {
		order = binary.BigEndian
	}
	a := Address{Family: order.Uint16(b)}
	switch a.Family {
	case unix:
		return a, a.parsePath(b[2:])
	case inet:
		if len(b) < 8 {
			return a, false
		}
		a.Port = uint32(binary.BigEndian.Uint16(b[2:]))
		a.IP = netip.AddrFrom4([4]byte(b[4:8]))
		return a, true
	case inet6:
		if len(b) < 24 {
			return a, false
		}
		a.Port = uint32(binary.BigEndian.Uint16(b[2:]))
		a.IP = netip.AddrFrom16([16]byte(b[8:24]))
		if len(b) >= 28 {
			a.Scope = order.Uint32(b[24:])
		}
		return a, true
	case netlink:
		if len(b) < 12 {
			return a, false
		}
		a.Scope, a.Groups = order.Uint32(b[4:]), order.Uint32(b[8:])
		return a, true
	case vsock:
		if len(b) < 12 {
			return a, false
		}
		a.Port, a.Scope = order.Uint32(b[4:]), order.Uint32(b[8:])
		return a, true
	}
	return a, false
}

// parsePath reads the path of a unix socket: it ends at a NUL, an abstract name begins with one (unix(7)).
func (a *Address) parsePath(b []byte) bool {
	if len(b) > 1 && b[0] == 0 {
		a.Abstract = bytes.TrimRight(b[1:], "\x00")
		return true
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	a.Path = b
	return true
}
