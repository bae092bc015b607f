package text

import (
	"strconv"

	"audisp-history/enrich/history"
	"audisp-history/enrich/tracker"
)

// Self is the program as a gap's record names it, in the fields that the kernel puts before a trusted program's message.
type Self struct {
	PID, UID uint32
	AUID     uint32 // the login uid, 4294967295 if unset
	Session  uint32 // the same
	Exe      string
	// Node is the node= of this machine's records, empty if they have none.
	Node string
}

// AppendGap appends the record of a gap. Its serial is 0, which the kernel never gives out: it belongs to no event.
//
//	type=TRUSTED_APP msg=audit(1795339340.803:0): pid=… uid=0 auid=… ses=… msg='op=history-gap reason=rules-removed from=1795339340.803 to=1795339352.117 lost=0 exe="/usr/sbin/audisp-history" res=failed'
//
// from= and to= are seconds since 1970. from=0.000 means from boot on, or from when is not known; a gap that has not
// ended has no to=.
func AppendGap(dst []byte, g *tracker.Gap, self *Self) []byte { return appendGap(dst, g, self, nil) }

// AppendGap appends the record of a gap, as the function does. Where it is known who made it, by= and bhistory= say that.
func (f *Format) AppendGap(dst []byte, g *tracker.Gap, self *Self) []byte {
	return appendGap(dst, g, self, f.renderer)
}

func appendGap(dst []byte, g *tracker.Gap, self *Self, r *history.Renderer) []byte {
	begin := len(dst)
	node := g.Node
	if node == "" {
		node = self.Node
	}
	if node != "" {
		dst = append(append(append(dst, "node="...), node...), ' ')
	}
	dst = seconds(append(dst, "type=TRUSTED_APP msg=audit("...), g.At)
	dst = number(append(dst, ":0): pid="...), self.PID)
	dst = number(append(dst, " uid="...), self.UID)
	dst = number(append(dst, " auid="...), self.AUID)
	dst = number(append(dst, " ses="...), self.Session)
	dst = append(append(dst, " msg='op=history-gap reason="...), g.Reason.String()...)
	dst = seconds(append(dst, " from="...), g.From)
	if g.To != 0 {
		dst = seconds(append(dst, " to="...), g.To)
	}
	dst = strconv.AppendUint(append(dst, " lost="...), g.Lost, 10)
	dst = append(append(append(dst, ` exe="`...), self.Exe...), '"')
	const end = " res=failed'\n"
	if r != nil && g.By != 0 {
		dst = number(append(dst, " by="...), g.By)
		const field = ` bhistory="`
		from := len(dst)
		room := maxLine - (from - begin) - len(field) - len(`"`) - len(end)
		if dst = r.Append(append(dst, field...), g.ByExec, room); len(dst) > from+len(field) {
			dst = append(dst, '"')
		} else {
			dst = dst[:from]
		}
	}
	return append(dst, end...)
}

func number(dst []byte, n uint32) []byte { return strconv.AppendUint(dst, uint64(n), 10) }

// seconds appends a time as auditd writes it.
func seconds(dst []byte, ms int64) []byte {
	ms = max(ms, 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	dst = append(dst, '.')
	for _, unit := range []int64{100, 10, 1} {
		dst = append(dst, byte('0'+ms/unit%10))
	}
	return dst
}
