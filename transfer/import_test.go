package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/transfer"
)

// TestAnExportImportsIntoAnotherDatabaseAndIsEqual brings the demo data of each kind of database into a new one of the next kind.
func TestAnExportImportsIntoAnotherDatabaseAndIsEqual(t *testing.T) {
	kinds := databasetest.Kinds(t)
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel()
		from := newWorld(t, databasetest.Open(t, databasetest.With(t, kind, directorytest.Demo)), nil)
		from.must(table("email,name,status", "ghost@example.com,Ghost,DEACTIVATED"), job{name: "x.csv"})
		text := from.export(true)
		if again := from.export(false); again != text || strings.Count(text, "\n") < 4000 {
			t.Fatalf("without a snapshot it is another one, or it has %d lines", strings.Count(text, "\n"))
		}
		to := newWorld(t, databasetest.New(t, kinds[(slices.Index(kinds, kind)+1)%len(kinds)], database.Options{PoolSize: 4}), nil)
		lines := strings.Split(text, "\n")
		rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if got := to.must(strings.Join(lines, "\n"), job{}); got != fmt.Sprintf("created %d, updated 0, unchanged 0, refused 0, deactivated 0", len(lines)) {
			t.Error(got)
		}
		if to.export(true) != text {
			t.Error("the export of the import is another one")
		}
		to.wantNothingLeft()
		if got := to.must(text, job{Options: transfer.Options{Upsert: true}}); got != fmt.Sprintf("created 0, updated 0, unchanged %d, refused 0, deactivated 0", len(lines)) {
			t.Errorf("once more: %s", got)
		}
	})
}

// people is a table of so many users, each managed by the one whose number is a tenth, or by a later one.
func people(n int) string {
	rows := make([]string, n)
	for i := range rows {
		manager := i / 10
		if i%7 == 3 {
			manager = min(n-1, i+n/2)
		}
		boss := fmt.Sprintf("p%d@example.com", manager)
		if i == 0 || manager == i || i > n/2 && i%7 == 3 {
			boss = ""
		}
		rows[i] = fmt.Sprintf("p%d@example.com,Person %d,%s", i, i, boss)
	}
	return table("email,name,managerEmail", rows...)
}

func TestAnImportThatIsCutShortGoesOnAndDoublesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const n = 5300
		text := people(n)
		runs, resumed := 0, 0
		for {
			runs++
			ctx, cancel := context.WithCancelCause(t.Context())
			cut := errors.New("cut short")
			p, err := w.try(text, job{name: "people.csv", ctx: ctx, report: func(transfer.Progress) {
				if rand.N(2) == 0 {
					cancel(cut)
				}
			}})
			cancel(nil)
			if p.Resumed {
				resumed++
			}
			if err == nil {
				if p.Created != n {
					t.Errorf("%d are created", p.Created)
				}
				break
			}
			if !errors.Is(err, cut) || runs > 100 {
				t.Fatal(err)
			}
		}
		if resumed == 0 && runs > 1 {
			t.Error("no run went on")
		}
		if got := w.count("SELECT COUNT(*) FROM users"); got != n {
			t.Errorf("there are %d users after %d runs", got, runs)
		}
		if got := w.count("SELECT COUNT(*) FROM changes WHERE kind = 'CREATED'"); got != n {
			t.Errorf("the log has %d of them", got)
		}
		w.wantNothingLeft()
	})
}

func TestAnotherFileOrOtherFlagsDoNotGoOnWithAnImport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := people(2500)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := w.try(text, job{name: "p.csv", ctx: ctx, report: func(transfer.Progress) { cancel() }}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		other := strings.Replace(text, "Person 7,", "Person seven,", 1)
		if _, err := w.try(other, job{name: "p.csv"}); err == nil || !strings.Contains(err.Error(), "line 1001") || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("another file: %v", err)
		}
		if _, err := w.try(text, job{name: "p.csv", Options: transfer.Options{Upsert: true}}); err == nil || !strings.Contains(err.Error(), "other flags") {
			t.Errorf("other flags: %v", err)
		}
		if got := w.must(other, job{name: "p.csv", Options: transfer.Options{Upsert: true, Restart: true}}); !strings.HasPrefix(got, "created 1500, updated 1, unchanged 999") {
			t.Errorf("begun anew: %s", got)
		}
	})
}

func TestManagersMayComeLaterAndBeNamedInTwoWays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rows := []string{"a@x.org,A,,z@x.org,", "b@x.org,B,,,77", "c@x.org,C,77,,", "z@x.org,Z,,,"}
		for i := range 1200 { // so that the last ones are in another chunk
			rows = append(rows[:len(rows)-1], fmt.Sprintf("f%d@x.org,F,,,", i), rows[len(rows)-1])
		}
		if got := w.must(table("email,name,externalId,managerEmail,managerExternalId", rows...), job{name: "x.csv"}); got != "created 1204, updated 0, unchanged 0, refused 0, deactivated 0" {
			t.Error(got)
		}
		if got := w.managers(); got != "a<z b<c" {
			t.Error(got)
		}
		if n := w.count("SELECT COUNT(*) FROM changes WHERE kind = 'UPDATED'"); n != 1 {
			t.Errorf("%d users were changed again, where one has waited", n)
		}
	})
}

// TestWhatAManagerCannotBeIsABadLineWhereverChunksEnd has circles and unknown ones, in one chunk and in two.
func TestWhatAManagerCannotBeIsABadLineWhereverChunksEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for round, between := range []int{0, 1500} {
			rows := []string{"a,b", "c,c", "d,nobody", "e,a"}
			for i := range between {
				rows = append(rows, fmt.Sprintf("f%d,", i))
			}
			rows = append(rows, "b,a")
			for i, row := range rows {
				name, manager, _ := strings.Cut(row, ",")
				if manager != "" {
					manager = fmt.Sprintf("%s%d@x.org", manager, round)
				}
				rows[i] = fmt.Sprintf("%s%d@x.org,X,%s", name, round, manager)
			}
			file := refusals(t)
			got := w.must(table("email,name,managerEmail", rows...), job{name: "x.csv", refusals: file})
			if want := fmt.Sprintf("created %d, updated 0, unchanged 0, refused 3, deactivated 0", len(rows)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			told := readFile(t, file)
			for _, want := range []string{"line,field,code,reason\n", "\n3,managerId,BAD_USER_INPUT,", "\n4,managerEmail,NOT_FOUND,"} {
				if !strings.Contains(told, want) {
					t.Errorf("it tells %q, without %q", told, want)
				}
			}
			if strings.Count(told, "\n") != 4 {
				t.Errorf("it tells %q", told)
			}
		}
		managers := strings.ReplaceAll(w.managers(), "1", "0")
		first, second, _ := strings.Cut(managers, " b")
		_ = second
		if !strings.Contains(first, "a0<b0") {
			t.Errorf("the managers are %s", managers)
		}
	})
}

func TestAnImportStopsAtABadLineAndGoesOnOnceItIsMended(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		good := strings.Split(strings.TrimSpace(people(2600)), "\n")
		bad := append([]string(nil), good...)
		bad[1700] = "no address,Person,"
		bad[1800] += ",one too many"
		var stopped *transfer.StoppedError
		p, err := w.try(strings.Join(bad, "\n"), job{name: "p.csv"})
		if !errors.As(err, &stopped) || len(stopped.Refusals) != 2 || stopped.Refusals[0].Line != 1701 || stopped.Refusals[0].Error.Field != "email" || stopped.Refusals[1].Line != 1801 {
			t.Fatalf("got %v", err)
		}
		if n := w.count("SELECT COUNT(*) FROM users"); n != 1000 || p.Created != 1000 || p.Lines != 1001 {
			t.Errorf("%d users are there, after %+v", n, p)
		}
		if got := w.must(strings.Join(good, "\n"), job{name: "p.csv"}); !strings.HasPrefix(got, "created 2600, updated 0, unchanged 0, refused 0") {
			t.Error(got)
		}
	})
}

func TestBadLinesAreToldOnceHoweverOftenTheImportIsCutShort(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		lines := strings.Split(strings.TrimSpace(people(4000)), "\n")
		for i := 5; i < len(lines); i += 50 {
			lines[i] = "none,X,"
		}
		file := refusals(t)
		for runs := 0; ; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			p, err := w.try(strings.Join(lines, "\n"), job{name: "p.csv", refusals: file, ctx: ctx, report: func(transfer.Progress) {
				if rand.N(3) > 0 {
					cancel()
				}
			}})
			cancel()
			if err == nil {
				if p.Refused < 80 {
					t.Errorf("got %s", short(p))
				}
				break
			}
			if !errors.Is(err, context.Canceled) || runs > 100 {
				t.Fatal(err)
			}
		}
		told := strings.Split(strings.TrimSpace(readFile(t, file)), "\n")
		seen := map[string]int{}
		for _, row := range told[1:] {
			if strings.Contains(row, ",email,") {
				line, _, _ := strings.Cut(row, ",")
				seen[line]++
			}
		}
		for i := 5; i < len(lines); i += 50 {
			if n := seen[fmt.Sprint(i+1)]; n != 1 {
				t.Errorf("line %d is told %d times", i+1, n)
			}
		}
	})
}

func TestThoseWhomTheFileDoesNotHaveAreDeactivatedUnlessTheyAreMany(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(2000), job{name: "p.csv"})
		all := strings.Split(strings.TrimSpace(people(2000)), "\n")
		options := transfer.Options{Upsert: true, DeactivateMissing: true}
		var missing *transfer.MissingError
		if _, err := w.try(strings.Join(all[:1800], "\n"), job{name: "p.csv", Options: options}); !errors.As(err, &missing) || missing.Missing != 201 || missing.Active != 2000 {
			t.Fatalf("201 missing: %v", err)
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE status <> 'ACTIVE'"); n != 0 {
			t.Errorf("%d are deactivated", n)
		}
		options.Restart = true
		file := refusals(t)
		bad := append([]string(nil), all...)
		bad[3] += ",x"                        // nobody knows whom it is about
		bad[1990] = "p1989@example.com," + "" // refused, but about somebody
		if _, err := w.try(strings.Join(bad, "\n"), job{name: "p.csv", Options: options, refusals: file}); !errors.As(err, &missing) || missing.Unreadable != 2 {
			t.Errorf("a line that cannot be read: %v", err)
		}
		dry := options
		dry.DryRun = true
		few := strings.Join(all[:1901], "\n") + "\np1950@example.com,,\n"
		for _, o := range []transfer.Options{dry, options} {
			got := w.must(few, job{name: "p.csv", Options: o, refusals: file})
			if want := "refused 1, deactivated 99"; !strings.HasSuffix(got, want) {
				t.Errorf("dry run %t: %s, want %s", o.DryRun, got, want)
			}
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE status = 'DEACTIVATED'"); n != 99 {
			t.Errorf("%d are deactivated", n)
		}
		options.Force = true
		if got := w.must(strings.Join(all[:11], "\n"), job{name: "p.csv", Options: options}); !strings.HasSuffix(got, "deactivated 1891") {
			t.Errorf("by force: %s", got)
		}
		w.wantNothingLeft()
	})
}

func TestADryRunTellsWhatTheRunDoesAndStoresNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(300), job{name: "p.csv"})
		before, changes := w.export(true), w.count("SELECT COUNT(*) FROM changes")
		text := `{"kind":"membership","teamName":"Later","userEmail":"p1@example.com"}
{"kind":"membership","teamName":"Never","userEmail":"p1@example.com"}
{"kind":"user","name":"New","email":"new@example.com","managerEmail":"newer@example.com"}
{"kind":"user","name":"Changed","email":"p1@example.com"}
{"kind":"user","name":"Person 2","email":"p2@example.com"}
{"kind":"user","name":"","email":"p3@example.com"}
` + strings.ReplaceAll(strings.Join(strings.Split(people(1500), "\n")[301:], "\n"), "\"", "")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		for i, line := range lines {
			if !strings.HasPrefix(line, "{") {
				parts := strings.Split(line, ",")
				lines[i] = fmt.Sprintf(`{"kind":"user","name":%q,"email":%q}`, parts[1], parts[0])
			}
		}
		lines = append(lines, `{"kind":"user","name":"Newer","email":"newer@example.com"}`, `{"kind":"team","name":"Later","parentName":"Nowhere"}`)
		text = strings.Join(lines, "\n")
		var told [2]string
		for i, dry := range []bool{true, false} {
			file := refusals(t)
			told[i] = w.must(text, job{Options: transfer.Options{Upsert: true, DryRun: dry}, refusals: file})
			told[i] += "\n" + strings.Join(slices.Sorted(strings.SplitSeq(readFile(t, file), "\n")), "\n")
			if dry && (w.export(true) != before || w.count("SELECT COUNT(*) FROM changes") != changes) {
				t.Error("the dry run has changed something")
			}
			w.wantNothingLeft()
		}
		if told[0] != told[1] || !strings.Contains(told[0], "created 1204, updated 1, unchanged 1, refused 3") {
			t.Errorf("the dry run tells\n%s\nand the run\n%s", told[0], told[1])
		}
	})
}

func TestTheLogHasAnImportsActorAndAnOperationForEachChunk(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(2500), job{name: "p.csv"})
		if n := w.count("SELECT COUNT(*) FROM changes WHERE actor = 'import:test'"); n < 2500 || n != w.count("SELECT COUNT(*) FROM changes") {
			t.Errorf("%d changes have the actor", n)
		}
		if n := w.count("SELECT COUNT(DISTINCT operation_id) FROM changes WHERE kind = 'CREATED'"); n != 3 {
			t.Errorf("%d operations have created them", n)
		}
		if err := w.log.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		var replay directorytest.Replay
		if err := errors.Join(replay.Read(t.Context(), w.log), replay.Compare(t.Context(), w.db)); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoProcessesDoNotDoTheSameImport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text, met := people(3000), false
		_, err := w.try(text, job{name: "p.csv", report: func(transfer.Progress) {
			if !met {
				met = true
				if got := w.must(text, job{name: "p.csv"}); !strings.HasPrefix(got, "created 3000") {
					t.Errorf("the other one: %s", got)
				}
			}
		}})
		if err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("got %v", err)
		}
		if n := w.count("SELECT COUNT(*) FROM users"); n != 3000 {
			t.Errorf("there are %d users", n)
		}
	})
}

func TestAChunkTakesAsManyStatementsHoweverManyRecordsItHas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		counts := map[string]int{}
		for _, n := range []int{10, 900} {
			for _, upsert := range []bool{false, true} {
				rows := make([]string, n)
				for i := range rows {
					rows[i] = fmt.Sprintf("u%d.%d@x.org,Name %t,u%d.0@x.org", n, i, upsert, n)
				}
				rows[0] = strings.TrimSuffix(rows[0], fmt.Sprintf("u%d.0@x.org", n))
				counts[fmt.Sprintf("%d%t", n, upsert)] = len(w.sql.During(func() {
					w.must(table("email,name,managerEmail", rows...), job{name: "x.csv", Options: transfer.Options{Upsert: upsert}})
				}))
			}
		}
		if counts["10false"] != counts["900false"] || counts["10true"] != counts["900true"] || counts["10true"] == 0 {
			t.Errorf("the numbers of statements are %v", counts)
		}
	})
}

func TestUsersAreMatchedByTheirExternalIDs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(table("email,name,externalId", "a@x.org,A,1", "b@x.org,B,2"), job{name: "x.csv"})
		options := transfer.Options{Upsert: true, ByExternalID: true}
		if got := w.must(table("email,name,externalId", "new@x.org,A,1", "c@x.org,C,3"), job{name: "x.csv", Options: options}); !strings.HasPrefix(got, "created 1, updated 1,") {
			t.Error(got)
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE email = 'new@x.org' AND version = 2"); n != 1 {
			t.Error("the email of the first one is not the new one")
		}
	})
}

func TestASnapshotIsOneStateOfTheDatabaseWhileOthersWrite(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(1500), job{name: "p.csv"}) // more than a page
		ends := make(chan struct{})
		var writers sync.WaitGroup
		defer writers.Wait()
		defer close(ends)
		for range 2 {
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-ends:
						return
					default:
					}
					// The first and the last one have the same title at any time.
					update := fmt.Sprintf("UPDATE users SET title = '%d' WHERE email IN ('p0@example.com', 'p1499@example.com')", n)
					if _, err := w.db.Side.ExecContext(context.Background(), update); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		states := map[string]bool{}
		for range 10 {
			var titles []string
			for line := range strings.SplitSeq(w.export(true), "\n") {
				if email := between(line, `"email":"`, `@`); email == "p0" || email == "p1499" {
					titles = append(titles, between(line, `"title":"`, `"`))
				}
			}
			if len(titles) != 2 || titles[0] != titles[1] {
				t.Errorf("one export has the titles %q", titles)
			}
			states[titles[0]] = true
		}
		if len(states) < 2 {
			t.Error("nobody has written meanwhile")
		}
	})
}

func TestALineThatRepeatsAnEarlierOneIsRefusedHoweverFarItIs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(1500), job{name: "p.csv"})
		again := func(lines ...string) string {
			return strings.TrimSpace(people(1500)) + "\n" + strings.Join(lines, "\n")
		}
		for _, c := range []struct {
			name, text string
			o          transfer.Options
			line       string
			want       string
		}{
			{"an address, changed", again("P3@example.com,Other,"), transfer.Options{Upsert: true}, "1502", "1502,email,CONFLICT,line 5 of the file has this already"},
			{"an address, new", table("email,name", "new1@x.org,A", "new1@x.org,B"), transfer.Options{}, "3", "3,email,CONFLICT,line 2 of the file has this already"},
			{"an external id", table("email,name,externalId", "n2@x.org,A,7", "n3@x.org,B,7"), transfer.Options{Upsert: true, ByExternalID: true}, "3", "3,externalId,CONFLICT,line 2 of the"},
		} {
			for _, dry := range []bool{true, false} {
				c.o.DryRun = dry
				file := refusals(t)
				w.must(c.text, job{name: "p.csv", Options: c.o, refusals: file})
				if told := readFile(t, file); strings.Count(told, "\n") != 2 || !strings.Contains(told, c.want) {
					t.Errorf("%s, dry run %t: told is %s", c.name, dry, told)
				}
			}
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE name IN ('Other', 'B')"); n != 0 {
			t.Errorf("%d have the values of the second line", n)
		}
	})
}

func TestWhoIsBackInTheFileIsToldAndActivatedIfAskedFor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(100), job{name: "p.csv"})
		all := strings.Split(strings.TrimSpace(people(100)), "\n")
		options := transfer.Options{Upsert: true, DeactivateMissing: true}
		if got := w.must(strings.Join(all[:98], "\n"), job{name: "p.csv", Options: options}); !strings.HasSuffix(got, "deactivated 3") {
			t.Fatal(got)
		}
		for _, dry := range []bool{true, false} {
			o := options
			o.DryRun = dry
			if p, err := w.try(people(100), job{name: "p.csv", Options: o}); err != nil || p.Inactive != 3 || p.Updated != 0 {
				t.Errorf("dry run %t: %d stay deactivated, %d are updated: %v", dry, p.Inactive, p.Updated, err)
			}
		}
		options.Activate = true
		if p, err := w.try(people(100), job{name: "p.csv", Options: options}); err != nil || p.Inactive != 0 || p.Updated != 3 {
			t.Errorf("%d stay deactivated, %d are updated: %v", p.Inactive, p.Updated, err)
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE status <> 'ACTIVE'"); n != 0 {
			t.Errorf("%d are not active", n)
		}
		stays := table("email,name,status", "p5@example.com,Person 5,deactivated")
		if got := w.must(stays, job{name: "p.csv", Options: transfer.Options{Upsert: true, Activate: true}}); !strings.HasPrefix(got, "created 0, updated 1") {
			t.Errorf("a status in lower case: %s", got)
		}
	})
}

func TestAnImportThatHasStoredNothingBeginsAnewWithAnyFlags(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var stopped *transfer.StoppedError
		_, err := w.try(table("Mail,name", "nobody,A"), job{name: "x.csv", source: transfer.SourceOptions{Map: []string{"Mail=email"}}})
		if !errors.As(err, &stopped) || !strings.HasPrefix(err.Error(), "line 2, column Mail, email: ") {
			t.Fatal(err)
		}
		if got := w.must(table("email,name", "a@x.org,A"), job{name: "x.csv", Options: transfer.Options{Upsert: true, Reading: "in another way"}}); !strings.HasPrefix(got, "created 1") {
			t.Error(got)
		}
		w.wantNothingLeft()
	})
}

func TestWhomABadLineIsAboutIsNotDeactivated(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(100), job{name: "p.csv"})
		w.must(table("email,name,externalId", "p1@example.com,Person 1,E1"), job{name: "p.csv", Options: transfer.Options{Upsert: true}})
		all := strings.Split(strings.TrimSpace(people(100)), "\n")
		for name, bad := range map[string]string{
			"none": ",Person 9,", "a space": "p9 @example.com,Person 9,", "a NUL": "p9\x00@example.com,Person 9,",
		} {
			lines := slices.Clone(all)
			lines[10] = bad
			var missing *transfer.MissingError
			_, err := w.try(strings.Join(lines, "\n"), job{name: "p.csv", Options: transfer.Options{Upsert: true, DeactivateMissing: true}, refusals: refusals(t)})
			if !errors.As(err, &missing) || missing.Unreadable != 1 {
				t.Errorf("the address is %s: %v", name, err)
			}
		}
		var missing *transfer.MissingError
		o := transfer.Options{Upsert: true, ByExternalID: true, DeactivateMissing: true}
		if _, err := w.try(table("email,name,externalId", "x@x.org,X,"), job{name: "p.csv", Options: o, refusals: refusals(t)}); !errors.As(err, &missing) || missing.Unreadable != 1 {
			t.Errorf("without an external id: %v", err)
		}
		if n := w.count("SELECT COUNT(*) FROM users WHERE status <> 'ACTIVE'"); n != 0 {
			t.Errorf("%d are deactivated", n)
		}
		w.wantNothingLeft()
	})
}

// TestAnImportEndsBeforeItTidiesUp: if it was killed between, whoever goes on with it would take the users whose notes are gone for missing ones.
func TestAnImportEndsBeforeItTidiesUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(people(10), job{name: "p.csv"})
		for _, restart := range []bool{false, true} {
			var order []string
			for _, statement := range w.sql.During(func() {
				o := transfer.Options{Upsert: true, DeactivateMissing: true, Restart: restart}
				if restart {
					w.try(people(10)+"nobody,A,\n", job{name: "p.csv", Options: o}) //nolint:errcheck // it leaves one to be restarted
				}
				w.must(people(10), job{name: "p.csv", Options: o})
			}) {
				for _, table := range []string{"imports", "import_users"} {
					if strings.HasPrefix(statement, "DELETE FROM "+table+" ") {
						order = append(order, table)
					}
				}
				if strings.HasPrefix(statement, "INSERT INTO imports ") {
					order = append(order, "new")
				}
			}
			begins := "imports import_users new "
			if want := begins + "imports import_users"; strings.Join(order[len(order)-5:], " ") != want {
				t.Errorf("it deletes from %q", order)
			}
		}
	})
}

func TestOthersLeaveTheErrorsFileOfAnImportAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		lines := strings.Split(strings.TrimSpace(people(2500)), "\n")
		for _, i := range []int{5, 1500, 2400} {
			lines[i] = "nobody,A,"
		}
		text, file := strings.Join(lines, "\n"), refusals(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.try(text, job{name: "p.csv", refusals: file, ctx: ctx, report: func(transfer.Progress) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		told := readFile(t, file)
		for name, j := range map[string]job{
			"other flags":  {Options: transfer.Options{Upsert: true}},
			"a dry run":    {Options: transfer.Options{DryRun: true}},
			"another file": {},
		} {
			j.name, j.refusals = "p.csv", file
			other := text
			if name == "another file" {
				other = "email,name,managerEmail\n" + text
			}
			if _, err := w.try(other, j); err == nil {
				t.Errorf("%s: no error", name)
			}
			if now := readFile(t, file); now != told {
				t.Errorf("%s has left %q of %q", name, now, told)
			}
		}
		// Another process takes the import over, and the first one, which finds that, leaves the file to it.
		took := false
		_, err = w.try(text, job{name: "p.csv", refusals: file, report: func(transfer.Progress) {
			if !took {
				took = true
				w.must(text, job{name: "p.csv", refusals: file})
			}
		}})
		if err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("got %v", err)
		}
		told = readFile(t, file)
		for _, line := range []string{"line,field", "\n6,email,", "\n1501,email,", "\n2401,email,"} {
			if strings.Count(told, line) != 1 || strings.Contains(told, "\x00") {
				t.Errorf("%q is told %d times in %q", line, strings.Count(told, line), told)
			}
		}
		w.wantNothingLeft()
	})
}

// manyUsers are so many records of users in JSON Lines, the last first.
func manyUsers(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"kind":"user","name":"U","email":"u%d@x.org"}`+"\n", n-1-i)
	}
	return text.String()
}

func TestADryRunCountsAsTheRunWould(t *testing.T) {
	others := strings.ReplaceAll(strings.TrimPrefix(people(100), "email,name,managerEmail\n"), "p", "q")
	var half []string
	for i := range 96 {
		half = append(half, fmt.Sprintf("p%d@example.com,Person %[1]d,%s", i, []string{"ACTIVE", "DEACTIVATED"}[i%2]))
	}
	sync := transfer.Options{Upsert: true, DeactivateMissing: true}
	type step struct {
		name, there, text string
		o                 transfer.Options
	}
	for _, steps := range [][]step{
		{
			{"more active ones than there were", people(20), people(18) + others, sync},
			{"a refused line's address", "", table("email,name", "a@x.org,"+strings.Repeat("A", 500), "a@x.org,A"), transfer.Options{}},
			{"what is above itself", "", table("email,name,managerEmail", "d@x.org,D,d@x.org"), transfer.Options{}},
			{"a team that is there", `{"kind":"team","name":"There"}`, strings.Repeat("\n", 2) + `{"kind":"membership","teamName":"There","userEmail":"z@x.org"}` + "\n" +
				strings.ReplaceAll(manyUsers(1100), "u0@", "z@"), transfer.Options{}},
			{"a manager who is refused", "", table("email,name,managerEmail", "b@x.org,B,c@x.org", "c@x.org,,"), transfer.Options{}},
		},
		{{"fewer active ones", people(100), table("email,name,status", half...), sync}},
	} {
		each(t, func(t *testing.T, w *world) {
			for _, c := range steps {
				if c.there != "" {
					w.must(c.there, job{})
				}
				var told [2]string
				for i, dry := range []bool{true, false} {
					o := c.o
					o.DryRun = dry
					p, err := w.try(c.text, job{Options: o, refusals: refusals(t)})
					told[i] = fmt.Sprint(short(p), err)
				}
				if told[0] != told[1] {
					t.Errorf("%s: the dry run tells %s, and the run %s", c.name, told[0], told[1])
				}
			}
		})
	}
}
