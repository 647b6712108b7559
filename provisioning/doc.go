// Package provisioning serves the directory to identity providers, such as Okta and Entra, by SCIM 2.0: users as Users, teams as Groups. What
// they change goes by the functions of package directory, and the log of changes has it with the actor scim.
package provisioning
