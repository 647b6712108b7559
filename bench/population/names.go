package population

import "strings"

func list(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), ", ") {
			if part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

var firstNames = list(`
María, José, Anna, Thomas, Michael, Sofia, Wei, Ana, Peter, Li, John, Mary, Fatima, Mohammed, Juan, Julia, David, Laura, Martin, Elena
Łukasz, Zoë, François, Jürgen, Björn, Åsa, Søren, Ólafur, Nuño, Inês, João, Beyoncé, Renée, André, Chloé, Noël, Élodie, Jérôme, Žofia, Šárka
Marcin, Marta, Marco, Marcus, Marie, Margaret, Mark, Marlene, Mariana, Marc, Hélène, Agnès, Amélie, Anaïs, Andreas, Anders, Angela, Antonio, Antoine, Anita
Ayşe, Çağlar, Gökhan, Işıl, Ömer, Ümit, Đorđe, Željko, Jiří, Tomáš, Zuzana, László, Ágnes, Ștefan, Ioana, Nikolaos, Αλέξανδρος, Ελένη, Иван, Наталья
Yuki, Haruto, Sakura, 美咲, 大翔, Minjun, 서연, Nguyễn, Phương, Priya, Arjun, Ananya, Siobhán, Seán, Niamh, Eoghan, Kwame, Amara, Oluwaseun, Zanele
Robert, James, William, Linda, Susan, Karen, Daniel, Paul, Steven, Emma, Olivia, Noah, Liam, Lucas, Hannah, Lena, Jonas, Felix, Clara, Oskar
`)

var lastNames = list(`
García, López, Müller, Smith, Martínez, Kowalski, Nguyen, Wang, Silva, Hernández, Johnson, Schmidt, Rossi, Dubois, Jansen, Andersson, Novák, Nowak, Ivanov, Kim
González, Rodríguez, Fernández, Sánchez, Pérez, Gómez, Martín, Jiménez, Ruiz, Díaz, Álvarez, Moreno, Muñoz, Romero, Alonso, Gutiérrez, Navarro, Torres, Domínguez, Vázquez
Łukasiewicz, Wiśniewski, Wójcik, Kamiński, Zieliński, Szymański, Woźniak, Dąbrowski, Kozłowski, Jankowski, Lewandowski, Zając, Król, Wróbel, Stępień, Ørsted, Sørensen, Jørgensen, Østergaard, Nygård
Öztürk, Yılmaz, Çelik, Şahin, Doğan, Kılıç, Strauß, Weiß, Größmann, Köhler, Jäger, Böhm, Schäfer, Krüger, Günther, Schröder, Voß, Vogel, Fischer, Weber
O'Brien, O'Connor, Ó Briain, MacDonald, McCarthy, Lefèvre, Bélanger, Côté, Lévesque, Gagné, Françoise, Hervé, Girard, Mercier, Blanc, D'Angelo, De Luca, Esposito, Ricci, Conti
Dvořák, Svoboda, Černý, Procházka, Kučera, Veselý, Horák, Němec, Pokorný, Růžička, Popović, Đurić, Kovačević, Horvat, Nagy, Szabó, Tóth, Kovács, Papadopoulos, Οικονόμου
Tanaka, Suzuki, 佐藤, 高橋, Park, 김, Trần, Phạm, Sharma, Patel, Singh, Iyer, Reddy, Okafor, Mensah, Dlamini, Petrov, Кузнецов, Соколова, Þórsdóttir
Brown, Jones, Miller, Davis, Wilson, Anderson, Taylor, Thomas, Moore, Jackson, White, Harris, Clark, Lewis, Walker, Hall, Allen, Young, King, Wright
Scott, Green, Baker, Adams, Nelson, Hill, Campbell, Mitchell, Roberts, Carter, Phillips, Evans, Turner, Parker, Collins, Edwards, Stewart, Morris, Murphy, Cook
`)

var titles = list(`
Software Engineer, Account Manager, Support Specialist, Sales Representative, Product Manager, Data Analyst, Designer, Consultant, Nurse, Technician
Project Manager, Recruiter, Controller, Accountant, Marketing Manager, Machine Operator, Warehouse Associate, Research Scientist, Quality Engineer, Système Administrateur
Legal Counsel, Buyer, Trainer, Translator, Security Engineer, Site Reliability Engineer, Architect, Café Manager, Chief of Staff, Attaché
`)

var levels = list(`
-, Senior, Junior, Lead, Principal, Interim
`)

var departments = list(`
Engineering, Sales, Customer Support, Operations, Manufacturing, Marketing, Finance, Research, Logistics, Human Resources
IT, Quality, Procurement, Design, Legal, Security, Public Affairs, Facilities, Communications, Strategy
Corporate Développement, Treasury, Internal Audit, Investor Relations, Sustainability, Übersetzung, Data Protection, Events, Travel, Archive
`)

type site struct{ city, zone string }

var places = []site{
	{"Berlin", "Europe/Berlin"},
	{"München", "Europe/Berlin"},
	{"Paris", "Europe/Paris"},
	{"São Paulo", "America/Sao_Paulo"},
	{"New York", "America/New_York"},
	{"Łódź", "Europe/Warsaw"},
	{"London", "Europe/London"},
	{"Zürich", "Europe/Zurich"},
	{"Kraków", "Europe/Warsaw"},
	{"Bengaluru", "Asia/Kolkata"},
	{"Singapore", "Asia/Singapore"},
	{"Tōkyō", "Asia/Tokyo"},
	{"Malmö", "Europe/Stockholm"},
	{"Århus", "Europe/Copenhagen"},
	{"Córdoba", "America/Argentina/Cordoba"},
	{"Montréal", "America/Toronto"},
	{"Lyon", "Europe/Paris"},
	{"A Coruña", "Europe/Madrid"},
	{"Reykjavík", "Atlantic/Reykjavik"},
	{"Nairobi", "Africa/Nairobi"},
}

var purposes = list(`
Platform, Payments, Search, Mobile, Growth, Cloud, Data, Field, Regional, Checkout, Identity, Delivery, Pricing, Insights, Trust
Über, Café, Naïve, Señal, Élan
`)

var groups = list(`
Team, Squad, Guild, Crew, Chapter, Group, Unit, Office, Board, Circle
`)
