// Package spool keeps records in a folder until every target has acknowledged them.
//
// A Spool has a folder for each listener, and in that folder a folder for each series: the records
// that one shard wrote in one epoch, in segments. The epoch of a spool is the number of a process
// among the processes that have written to the spool. Each process appends only to its own series,
// also a process that was replaced and wakes up. A segment is a file of lines. The name of a
// segment is the number of its first record in the series. A block is some consecutive lines of a
// segment. The index of a segment has for each block the bytes, the number of records and the
// CRC32C. A Consumer is the position of one target in all series of a listener, with the ledger of
// the target, in a cursor file. A segment is removed when every consumer has passed the segment.
//
//	DIR/spool.json                      identity of the spool
//	DIR/lock                            locked by the process that ships
//	DIR/rejected.json                   records that a target has refused
//	DIR/epochs/12                       locked by the process that writes epoch 12
//	DIR/LISTENER/consumers/HASH         position and ledger of a target
//	DIR/LISTENER/12-0/0000….log, .idx   segments of epoch 12, shard 0
package spool
