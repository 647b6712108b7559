package keyset

import (
	"slices"
	"testing"
)

func TestAListOfKeysHasFewLengths(t *testing.T) {
	for _, c := range []struct {
		what  string
		limit int
	}{{"IN", MaxKeys}, {"UNION ALL", maxArms}} {
		lengths := map[int]bool{}
		for n := 1; n <= 1000; n++ {
			keys := make([]int64, n)
			for i := range keys {
				keys[i] = int64(i + 1)
			}
			kept := 0
			for chunk := range slices.Chunk(keys, c.limit) {
				got := padded(chunk, 0, c.limit)
				lengths[len(got)] = true
				if !slices.Equal(got[:len(chunk)], chunk) || slices.ContainsFunc(got[len(chunk):], func(id int64) bool { return id != 0 }) {
					t.Fatalf("%s: %d keys became %v", c.what, n, got)
				}
				kept += len(chunk)
			}
			if kept != n {
				t.Fatalf("%s: %d of %d keys are left", c.what, kept, n)
			}
		}
		if len(lengths) > 12 {
			t.Errorf("%s: 1 to 1,000 keys make lists of %d lengths", c.what, len(lengths))
		}
	}
}

func TestANumberIsReadWithoutTheNodesUnlessAFilterNeedsThem(t *testing.T) {
	list := List{From: "links e", Nodes: "nodes t", On: "t.id = e.node_id", Parent: "e.parent_id", ID: "e.node_id"}
	key := Key{Parent: Of(7), Window: Window{Size: 20}}
	const plain = "SELECT COUNT(*), e.parent_id FROM links e WHERE e.parent_id IN (?) GROUP BY e.parent_id"
	if got := list.Count([]Key{key})[0].Text; got != plain {
		t.Errorf("%s", got)
	}
	key.Filter = key.Filter.And("t.name = ?", "x")
	const filtered = "SELECT COUNT(*), e.parent_id FROM links e JOIN nodes t ON t.id = e.node_id WHERE e.parent_id IN (?) AND (t.name = ?) GROUP BY e.parent_id"
	if got := list.Count([]Key{key})[0].Text; got != filtered {
		t.Errorf("%s", got)
	}
}
