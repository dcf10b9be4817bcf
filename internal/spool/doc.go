// Package spool keeps records in a directory until every target has acknowledged them.
//
// A Spool has a folder for each listener, and in it a folder for each series: the records of one
// shard in one epoch, in segments. An epoch begins when a process writes its first record: each
// process appends to series of its own, so that a process that was replaced and wakes up disturbs
// nobody. A segment is a file of lines, named by the number of its first record in the series.
// Beside the segment is its index: the position, the number of records and the CRC32C of each
// block of lines. A consumer is the position of one target in all series of a listener, kept in a
// file. A segment is removed when every consumer has passed it.
//
//	DIR/spool.json                      identity of the spool
//	DIR/lock                            locked by the process that ships
//	DIR/rejected.json                   records that a target has refused
//	DIR/epochs/12                       locked by the process that writes epoch 12
//	DIR/LISTENER/consumers/HASH         position of a target
//	DIR/LISTENER/12-0/0000….log, .idx   segments of epoch 12, shard 0
package spool
