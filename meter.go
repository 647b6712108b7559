package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"rollcall/transfer"
)

// meter shows how far a long command is: by a bar on a terminal, by a line now and then elsewhere. What is written to it was read.
type meter struct {
	bar   *progressbar.ProgressBar // nil: there is no terminal
	out   io.Writer
	begun time.Time
	told  time.Time
	size  int64 // bytes; -1: nobody knows
	read  int64
}

// minWidth is how many characters a terminal's line must have for a bar.
const minWidth = 60

// tellEvery is how often a meter without a terminal prints a line.
const tellEvery = 10 * time.Second

func (s *service) newMeter(size int64) *meter {
	m := &meter{out: s.err, begun: time.Now(), told: time.Now(), size: size}
	file, ok := s.err.(*os.File)
	if !ok {
		return m
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width >= minWidth {
		m.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(file), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return m
}

func (m *meter) Write(p []byte) (int, error) {
	m.read += int64(len(p))
	if m.bar != nil {
		_ = m.bar.Add(len(p))
	}
	return len(p), nil
}

// report shows how far an import is.
func (m *meter) report(p transfer.Progress) {
	m.records(p.Created + p.Updated + p.Unchanged + p.Refused)
}

// records shows how many records are done.
func (m *meter) records(records int64) {
	if m.bar != nil {
		text := fmt.Sprintf("%d records", records)
		if begun := time.Since(m.begun); begun > time.Second {
			text += fmt.Sprintf(", %d/s", int(float64(records)/begun.Seconds()))
		}
		m.bar.Describe(text)
		return
	}
	if time.Since(m.told) < tellEvery {
		return
	}
	m.told = time.Now()
	of := ""
	if m.size > 0 {
		of = fmt.Sprintf(", %d %% of the file", 100*m.read/m.size)
	}
	_, _ = fmt.Fprintf(m.out, "%d records in %s%s\n", records, time.Since(m.begun).Round(time.Second), of)
}

func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}
