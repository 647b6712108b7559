package population

import (
	"reflect"
	"testing"
)

func TestADirectoryIsAlwaysTheSameAndKeepsItsKeys(t *testing.T) {
	s := Size{Users: 3000, Teams: 150}
	emails, names, departments := map[string]bool{}, map[string]bool{}, map[string]int{}
	for id := int64(1); id <= int64(s.Users); id++ {
		u := s.User(id)
		if !reflect.DeepEqual(u, s.User(id)) {
			t.Fatalf("user %d is another the second time", id)
		}
		if emails[u.Email] {
			t.Errorf("%s is the email of two users", u.Email)
		}
		emails[u.Email] = true
		if departments[*u.Department]++; id > 1 && *u.ManagerID >= id {
			t.Errorf("user %d is managed by %d", id, *u.ManagerID)
		}
		if teams := s.TeamsOf(id); teams[0] == teams[1] || teams[0] == teams[2] || teams[1] == teams[2] {
			t.Errorf("user %d is in the teams %v", id, teams)
		}
	}
	if len(departments) != 30 {
		t.Errorf("want users in 30 departments, got %v", departments)
	}
	for id := int64(1); id <= int64(s.Teams); id++ {
		team := s.Team(id)
		if names[team.Name] {
			t.Errorf("%s is the name of two teams", team.Name)
		}
		if names[team.Name] = true; team.ParentID != nil && *team.ParentID >= id {
			t.Errorf("team %d is in team %d", id, *team.ParentID)
		}
	}
	if n := len(s.members()); n != s.Memberships() {
		t.Errorf("want %d memberships, got %d", s.Memberships(), n)
	}
}
