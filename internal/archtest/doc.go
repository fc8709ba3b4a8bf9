// Package archtest holds up the walls of the repository. It has no code of its
// own: its tests read every Go file and ask the go command what each binary is
// made of, and fail with a sentence that names the file and the wall.
//
// The walls, and the tests that hold them:
//
//   - A command is imported by nobody; internal imports no command, and of the
//     outside world only what internalMayImport lists. Heavy libraries stay in
//     the rooms that libraryRooms gives them, through any chain of imports. (imports_test.go)
//   - goproxy is a front door and never intercepts by itself, so the names with
//     which it would are not used anywhere. (imports_test.go)
//   - A package says in its comment what it is for, and is named for what it
//     holds. (packages_test.go)
//   - A file and a function are short enough to be read in one go, apart from
//     those listed in testdata/long.txt. (size_test.go)
//   - Every package that a binary links is in testdata/packages/<command>.txt,
//     so that a new dependency is seen in review; `go test -update` writes these
//     lists. (binaries_test.go)
//   - No file names a package registry: where packages come from is for the
//     operator's own configuration to say. (registries_test.go)
//
// A list of exceptions that names something which needs none any more fails as
// well, so the lists only ever describe what is there.
package archtest
