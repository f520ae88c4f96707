namespace OrleansStreams.Errors;

/// <summary>
/// The stable error codes. Values below 1000 are those of Kafka's protocol (kafka.apache.org/protocol, "Error Codes"), so that a
/// Kafka gateway can pass them on unchanged; values from 1000 are this product's own.
/// </summary>
[GenerateSerializer]
[Alias("streams.error-code")]
public enum StreamsErrorCode : short
{
    /// <summary>An unexpected failure inside the server.</summary>
    Unknown = -1,

    /// <summary>No error.</summary>
    None = 0,

    /// <summary>The offset lies below the log start or above the high watermark.</summary>
    OffsetOutOfRange = 1,

    /// <summary>A batch's checksum, length, magic or record structure is wrong.</summary>
    CorruptBatch = 2,

    /// <summary>The topic or the partition does not exist.</summary>
    UnknownTopicOrPartition = 3,

    /// <summary>This activation is no longer the partition's leader; ask again.</summary>
    NotLeader = 6,

    /// <summary>The request took longer than its timeout; whether it was carried out is not known.</summary>
    RequestTimedOut = 7,

    /// <summary>A batch is larger than the topic's max.message.bytes.</summary>
    RecordTooLarge = 10,

    /// <summary>The group or application coordinator is not available now.</summary>
    CoordinatorNotAvailable = 15,

    /// <summary>The topic's name is not valid.</summary>
    InvalidTopic = 17,

    /// <summary>The generation is not the group's current one.</summary>
    IllegalGeneration = 22,

    /// <summary>The group does not know this member.</summary>
    UnknownMemberId = 25,

    /// <summary>The session timeout is outside the allowed range.</summary>
    InvalidSessionTimeout = 26,

    /// <summary>The group rebalances; the member must rejoin or wait.</summary>
    RebalanceInProgress = 27,

    /// <summary>A record's timestamp is not acceptable.</summary>
    InvalidTimestamp = 32,

    /// <summary>The topic exists already.</summary>
    TopicAlreadyExists = 36,

    /// <summary>The number of partitions is not valid.</summary>
    InvalidPartitions = 37,

    /// <summary>A configuration value is not valid.</summary>
    InvalidConfig = 40,

    /// <summary>The request is malformed or contradicts itself.</summary>
    InvalidRequest = 42,

    /// <summary>An idempotent producer's sequence leaves a gap.</summary>
    OutOfOrderSequence = 45,

    /// <summary>An idempotent producer's sequence was already appended, so long ago that its offset is forgotten.</summary>
    DuplicateSequence = 46,

    /// <summary>A newer instance of the producer fenced this one.</summary>
    InvalidProducerEpoch = 47,

    /// <summary>The log could not be written or read.</summary>
    StorageError = 56,

    /// <summary>The group is not empty.</summary>
    NonEmptyGroup = 68,

    /// <summary>The group does not exist.</summary>
    GroupIdNotFound = 69,

    /// <summary>The log was opened by a newer leader; this one may not write any more.</summary>
    FencedLeaderEpoch = 74,

    /// <summary>The batch's compression codec is not supported.</summary>
    UnsupportedCompressionType = 76,

    /// <summary>A record is not one that its topic takes, for example one without a key for a compacted topic.</summary>
    InvalidRecord = 87,

    /// <summary>The member's epoch is not the one the group has for it.</summary>
    FencedMemberEpoch = 110,

    /// <summary>The partition holds as many unacknowledged bytes as it may; wait and try again.</summary>
    PartitionBusy = 1000,

    /// <summary>No such stream application is registered.</summary>
    ApplicationNotFound = 1001,

    /// <summary>The application has no such state store.</summary>
    StoreNotFound = 1002,

    /// <summary>Another process uses the data folder.</summary>
    DataFolderInUse = 1003,

    /// <summary>The disk is full; nothing of the request was kept.</summary>
    DiskFull = 1004,

    /// <summary>Input data cannot be read.</summary>
    InvalidInput = 1005,

    /// <summary>Stored data fails its checksum or is inconsistent.</summary>
    CorruptLog = 1006,

    /// <summary>Stored state was written by another topology or version.</summary>
    IncompatibleState = 1007,

    /// <summary>The application is stopped, or was never started, or one of its tasks failed for good.</summary>
    ApplicationNotRunning = 1008,

    /// <summary>A value cannot be serialized or deserialized.</summary>
    SerializationFailed = 1009,

    /// <summary>A client-side buffer is full and the time to wait for room is over.</summary>
    BufferExhausted = 1010,

    /// <summary>The client or log was closed.</summary>
    Closed = 1011,

    /// <summary>A port, socket or address could not be opened.</summary>
    AddressInUse = 1012,

    /// <summary>A task of a running application starts, restores its state, or is about to be restarted.</summary>
    TaskNotReady = 1013,

    /// <summary>Another application answers than the one that answered the page before: its alias was switched. Begin again with the first page.</summary>
    ContinuationOutdated = 1014,

    /// <summary>A task's state has outgrown the memory that it may take; what was committed before is kept.</summary>
    StateTooLarge = 1020,
}
