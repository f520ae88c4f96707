namespace OrleansStreams.Errors;

/// <summary>The one table of error codes: retriable or not, whose fault, and the HTTP status that a gateway answers.</summary>
public static class ErrorTable
{
    /// <summary>Whether the same request may succeed later.</summary>
    public static bool IsRetriable(StreamsErrorCode code) => Row(code).Retriable;

    /// <summary>Whose fault it is.</summary>
    public static ErrorFault FaultOf(StreamsErrorCode code) => Row(code).Fault;

    /// <summary>The HTTP status code for an error.</summary>
    public static int HttpStatusOf(StreamsErrorCode code) => Row(code).HttpStatus;

    private static (bool Retriable, ErrorFault Fault, int HttpStatus) Row(StreamsErrorCode code) => code switch
    {
        StreamsErrorCode.None => (false, ErrorFault.User, 200),
        StreamsErrorCode.OffsetOutOfRange => (false, ErrorFault.User, 416),
        StreamsErrorCode.CorruptBatch => (false, ErrorFault.User, 400),
        StreamsErrorCode.UnknownTopicOrPartition => (false, ErrorFault.User, 404),
        StreamsErrorCode.NotLeader => (true, ErrorFault.Dependency, 503),
        StreamsErrorCode.RequestTimedOut => (true, ErrorFault.Dependency, 504),
        StreamsErrorCode.RecordTooLarge => (false, ErrorFault.User, 413),
        StreamsErrorCode.CoordinatorNotAvailable => (true, ErrorFault.Dependency, 503),
        StreamsErrorCode.InvalidTopic => (false, ErrorFault.User, 400),
        StreamsErrorCode.IllegalGeneration => (false, ErrorFault.User, 409),
        StreamsErrorCode.UnknownMemberId => (false, ErrorFault.User, 409),
        StreamsErrorCode.InvalidSessionTimeout => (false, ErrorFault.User, 400),
        StreamsErrorCode.RebalanceInProgress => (true, ErrorFault.User, 409),
        StreamsErrorCode.InvalidTimestamp => (false, ErrorFault.User, 400),
        StreamsErrorCode.TopicAlreadyExists => (false, ErrorFault.User, 409),
        StreamsErrorCode.InvalidPartitions => (false, ErrorFault.User, 400),
        StreamsErrorCode.InvalidConfig => (false, ErrorFault.User, 400),
        StreamsErrorCode.InvalidRequest => (false, ErrorFault.User, 400),
        StreamsErrorCode.OutOfOrderSequence => (false, ErrorFault.User, 409),
        StreamsErrorCode.DuplicateSequence => (false, ErrorFault.User, 409),
        StreamsErrorCode.InvalidProducerEpoch => (false, ErrorFault.User, 409),
        StreamsErrorCode.StorageError => (true, ErrorFault.Dependency, 503),
        StreamsErrorCode.NonEmptyGroup => (false, ErrorFault.User, 409),
        StreamsErrorCode.GroupIdNotFound => (false, ErrorFault.User, 404),
        StreamsErrorCode.FencedLeaderEpoch => (true, ErrorFault.Dependency, 503),
        StreamsErrorCode.UnsupportedCompressionType => (false, ErrorFault.User, 415),
        StreamsErrorCode.InvalidRecord => (false, ErrorFault.User, 400),
        StreamsErrorCode.FencedMemberEpoch => (false, ErrorFault.User, 409),
        StreamsErrorCode.PartitionBusy => (true, ErrorFault.Dependency, 429),
        StreamsErrorCode.ApplicationNotFound => (false, ErrorFault.User, 404),
        StreamsErrorCode.StoreNotFound => (false, ErrorFault.User, 404),
        StreamsErrorCode.DataFolderInUse => (false, ErrorFault.User, 503),
        StreamsErrorCode.DiskFull => (true, ErrorFault.Dependency, 507),
        StreamsErrorCode.InvalidInput => (false, ErrorFault.User, 400),
        StreamsErrorCode.CorruptLog => (false, ErrorFault.Dependency, 500),
        StreamsErrorCode.IncompatibleState => (false, ErrorFault.User, 409),
        StreamsErrorCode.ApplicationNotRunning => (false, ErrorFault.User, 409),
        StreamsErrorCode.SerializationFailed => (false, ErrorFault.User, 400),
        StreamsErrorCode.BufferExhausted => (true, ErrorFault.Dependency, 429),
        StreamsErrorCode.Closed => (false, ErrorFault.User, 410),
        StreamsErrorCode.AddressInUse => (false, ErrorFault.User, 503),
        StreamsErrorCode.TaskNotReady => (true, ErrorFault.Dependency, 503),
        StreamsErrorCode.ContinuationOutdated => (false, ErrorFault.User, 409),
        StreamsErrorCode.StateTooLarge => (false, ErrorFault.User, 507),
        _ => (false, ErrorFault.Internal, 500),
    };
}
