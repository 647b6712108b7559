package entitytest

import (
	"fmt"

	"gorm.io/gorm"
)

// Visible are the numbers of the persons that there are for person 2, of 40: that one, and those below.
var Visible = []int64{2, 6, 7, 8, 18, 19, 20, 21, 22, 23, 24, 25, 26}

// tables are as every kind of database makes them.
var tables = []string{
	"CREATE TABLE persons (id BIGINT PRIMARY KEY, name VARCHAR(64) NOT NULL, badge VARCHAR(64) UNIQUE, phone VARCHAR(64), review VARCHAR(64), boss_id BIGINT)",
	"CREATE INDEX persons_boss ON persons (boss_id)",
	"CREATE INDEX persons_name ON persons (name, id)",
	"CREATE TABLE person_words (word VARCHAR(64) NOT NULL, person_id BIGINT NOT NULL, PRIMARY KEY (word, person_id))",
	"CREATE TABLE clubs (id BIGINT PRIMARY KEY, name VARCHAR(64) NOT NULL, founder_id BIGINT, parent_id BIGINT)",
	"CREATE TABLE club_members (club_id BIGINT NOT NULL, person_id BIGINT NOT NULL, joined VARCHAR(64) NOT NULL, PRIMARY KEY (club_id, person_id))",
}

// Fill makes the office's tables and 40 persons. Person n has the boss n/3, but person 2 person 1, the badge bn, the phone n, the review rn, and as a name p and two digits, which are in
// another order than the numbers are. Club 1, which person 1 has founded, has the members with even numbers; within it are club 2, which person 6 has
// founded, of those that can be divided by 3, and club 3, of person 9 alone, who has founded it.
func Fill(db *gorm.DB) (err error) {
	run := func(statement string, args ...any) {
		if err == nil {
			err = db.Exec(statement, args...).Error
		}
	}
	for _, table := range tables {
		run(table)
	}
	join := func(club, person int) {
		run("INSERT INTO club_members (club_id, person_id, joined) VALUES (?, ?, ?)", club, person, fmt.Sprintf("d%02d", person*11%41))
	}
	for n := 1; n <= 40; n++ {
		boss, name := any(n/3), fmt.Sprintf("p%02d", n*7%41)
		switch n {
		case 1:
			boss = nil
		case 2:
			boss = 1
		}
		run("INSERT INTO persons (id, name, badge, phone, review, boss_id) VALUES (?, ?, ?, ?, ?, ?)", n, name, fmt.Sprintf("b%d", n), fmt.Sprint(n), fmt.Sprint("r", n), boss)
		run("INSERT INTO person_words (word, person_id) VALUES (?, ?), (?, ?)", name, n, "staff", n)
		if n%2 == 0 {
			join(1, n)
		}
		if n%3 == 0 {
			join(2, n)
		}
	}
	join(3, 9)
	run("INSERT INTO clubs (id, name, founder_id, parent_id) VALUES (1, 'all', 1, NULL), (2, 'two', 6, 1), (3, 'nine', 9, 1)")
	run("INSERT INTO directory_counts (name, delta) VALUES ('Person', 40)")
	return err
}
