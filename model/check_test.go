package model_test

import (
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the test depends on no machine

	"rollcall/apierror"
	"rollcall/model"
)

func TestATimeZoneIsOneOfTheListWhateverTheMachineHas(t *testing.T) {
	file, err := os.ReadFile("zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	title, list, _ := strings.Cut(string(file), "\n")
	zones := strings.Fields(list)
	if len(zones) < 500 {
		t.Errorf("there are only %d time zones", len(zones))
	}
	for _, zone := range zones {
		if got, err := model.CheckTimeZone(" " + zone + "\n"); got != zone || err != nil {
			t.Errorf("%s becomes %q: %v", zone, got, err)
		}
		if _, err := time.LoadLocation(zone); err != nil {
			t.Errorf("Go does not have %s: %v", zone, err)
		}
	}
	for _, zone := range []string{
		title, "Local", "Factory", "posix/Europe/Paris", "right/UTC", "posixrules", "localtime", "Europe", "Europe/", "europe/paris", "Europe/Paris\nUTC", "+02:00",
	} {
		if got, err := model.CheckTimeZone(zone); apierror.CodeOf(err) != apierror.CodeBadUserInput {
			t.Errorf("%q became %q: %v", zone, got, err)
		}
	}
	for _, zone := range []string{"", "UTC", "Etc/GMT+2", "Europe/Paris", "Asia/Calcutta", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Zulu"} {
		if got, err := model.CheckTimeZone(zone); got != zone || err != nil {
			t.Errorf("%q became %q: %v", zone, got, err)
		}
	}
}
