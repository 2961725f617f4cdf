//! Save folders: snapshots, versions, restoring.
