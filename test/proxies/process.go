package proxies

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is what /proc tells of a process. Where there is no /proc, as outside
// of Linux, its methods return an error.
type Process struct{ PID int }

// ResidentMiB is the memory in use, and the most that ever was.
func (p Process) ResidentMiB() (now, peak float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, 0, err
	}
	if now, err = kibField(data, "VmRSS:"); err != nil {
		return 0, 0, err
	}
	peak, err = kibField(data, "VmHWM:")
	return now, peak, err
}

// kibField reads "name   1234 kB" as MiB.
func kibField(status []byte, name string) (float64, error) {
	_, rest, _ := strings.Cut(string(status), name)
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc's status has no %s: %w", name, err)
	}
	return kib / 1024, nil
}

// tick is the unit of /proc's stat: USER_HZ, 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the processor time spent so far by all threads, in steps of a tick. It
// does not grow while others have the processor, so it compares two versions of
// a program even on a machine that is not quiet.
func (p Process) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 12th
	// and 13th fields after it.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc's stat: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
