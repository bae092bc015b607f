package record

import (
	"bytes"
	"fmt"
	"strconv"
)

// maxArgs bounds what Args reads: the kernel's limit on one program's arguments is a quarter of its stack limit, the
// audit records of which would be some megabytes.
const maxArgs = 1 << 20

// Args joins the arguments of an execve from the bodies of its EXECVE records, in order. A long argument comes in
// pieces, a2_len= then a2[0]=, a2[1]= … over several records (kernel/auditsc.c: audit_log_execve_info). Arguments that
// are missing, because a record was lost, are empty; the error names the first.
func Args(bodies ...[]byte) ([]string, error) {
	var args [][]byte
	var present []bool
	size := 0
	for _, body := range bodies {
		for f := FieldsOf(body); f.Next(); {
			if string(f.Key) == "argc" {
				n, ok := Uint(f.Value)
				if !ok || n > maxArgs {
					return nil, fmt.Errorf("EXECVE record: argc=%.20q is not a number up to %d", f.Value, maxArgs)
				}
				if int(n) > len(args) {
					args = append(args, make([][]byte, int(n)-len(args))...)
					present = append(present, make([]bool, int(n)-len(present))...)
				}
				continue
			}
			i, ok := argIndex(f.Key)
			if !ok || i >= len(args) {
				continue
			}
			size += len(f.Value)
			if size > 2*maxArgs*8 {
				return nil, fmt.Errorf("EXECVE records: arguments of more than %d bytes", maxArgs*8)
			}
			args[i], present[i] = AppendDecoded(args[i], f.Value), true
		}
	}
	out := make([]string, len(args))
	var err error
	for i := range args {
		out[i] = string(args[i])
		if !present[i] && err == nil {
			err = fmt.Errorf("EXECVE records: argument a%d of %d is missing", i, len(args))
		}
	}
	return out, err
}

// argIndex reads the keys a2 and a2[0], but not a2_len.
func argIndex(key []byte) (int, bool) {
	if len(key) < 2 || key[0] != 'a' {
		return 0, false
	}
	key = key[1:]
	if i := bytes.IndexByte(key, '['); i > 0 && key[len(key)-1] == ']' {
		key = key[:i]
	}
	n, err := strconv.ParseUint(string(key), 10, 31)
	return int(n), err == nil
}
