package jsonl

import (
	"strconv"
	"time"

	"audisp-history/enrich/history"
	"audisp-history/enrich/task"
)

// longestHistory bounds a history, whatever the limit: 4096 of them are kept, which makes 64 MiB at the very most.
const longestHistory = 16 << 10

// NewHistories makes a renderer of histories as the elements of a JSON array, without its brackets. They take at most
// limit bytes, and at most 16 KiB; a limit of 0 is none of its own.
func NewHistories(cut history.Cut, limit int) *history.Renderer {
	return history.NewEncoded(history.Encoding{
		Element: appendExec, Omitted: appendOmitted, Separator: ",", Longest: longestHistory,
	}, cut, limit)
}

func appendExec(dst []byte, e *task.Exec) []byte {
	if e.Via == task.Folded {
		return appendOmitted(dst, uint64(e.Omitted))
	}
	dst = AppendString(append(dst, `{"name":`...), e.Name)
	dst = strconv.AppendUint(append(dst, `,"pid":`...), uint64(e.PID), 10)
	dst = AppendTime(append(dst, `,"start":`...), e.Start)
	if e.Exe != "" {
		dst = AppendString(append(dst, `,"exe":`...), e.Exe)
	}
	if via := e.Via.String(); via != "" {
		dst = append(append(append(dst, `,"via":"`...), via...), '"')
	}
	return append(dst, '}')
}

func appendOmitted(dst []byte, execs uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"omitted":`...), execs, 10), '}')
}

// lastMilli is the end of the year 9999, the last that RFC 3339 has.
const lastMilli = 253402300799999

// AppendTime appends a time in milliseconds since 1970 as a JSON string, in RFC 3339 and UTC.
func AppendTime(dst []byte, ms int64) []byte {
	return time.UnixMilli(min(max(ms, 0), lastMilli)).UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
}

// AppendID appends the id of an event as ausearch shows it, as a JSON string: seconds.milliseconds:serial.
func AppendID(dst []byte, ms int64, serial uint64) []byte {
	ms = max(ms, 0)
	dst = strconv.AppendInt(append(dst, '"'), ms/1000, 10)
	ms %= 1000
	dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), ':')
	return append(strconv.AppendUint(dst, serial, 10), '"')
}
