namespace Orleans.Runtime
{
    /// <summary>The root of the exceptions that the host itself raises.</summary>
    public class OrleansException : Exception
    {
        /// <summary>Creates the exception.</summary>
        public OrleansException()
            : base("Unexpected error.")
        {
        }

        /// <summary>Creates the exception.</summary>
        public OrleansException(string message)
            : base(message)
        {
        }

        /// <summary>Creates the exception.</summary>
        public OrleansException(string message, Exception innerException)
            : base(message, innerException)
        {
        }
    }

    /// <summary>A call was refused before it ran.</summary>
    public class OrleansMessageRejectionException : OrleansException
    {
        internal OrleansMessageRejectionException(string message)
            : base(message)
        {
        }

        internal OrleansMessageRejectionException(string message, Exception innerException)
            : base(message, innerException)
        {
        }
    }

    /// <summary>The silo that a call went to is gone; whether the call ran is unknown.</summary>
    public sealed class SiloUnavailableException : OrleansMessageRejectionException
    {
        /// <summary>Creates the exception.</summary>
        public SiloUnavailableException()
            : base("Silo unavailable")
        {
        }

        /// <summary>Creates the exception.</summary>
        public SiloUnavailableException(string msg)
            : base(msg)
        {
        }

        /// <summary>Creates the exception.</summary>
        public SiloUnavailableException(string message, Exception innerException)
            : base(message, innerException)
        {
        }
    }
}

namespace Orleans.Storage
{
    /// <summary>A stored state was changed by somebody else since it was read: this activation's copy is stale, and so it ends.</summary>
    public class InconsistentStateException : Orleans.Runtime.OrleansException
    {
        /// <summary>Creates the exception.</summary>
        public InconsistentStateException()
        {
        }

        /// <summary>Creates the exception.</summary>
        public InconsistentStateException(string message)
            : base(message)
        {
        }

        /// <summary>Creates the exception.</summary>
        public InconsistentStateException(string message, Exception? innerException)
            : base(message, innerException!)
        {
        }

        /// <summary>Creates the exception with both tags.</summary>
        public InconsistentStateException(string errorMsg, string? storedEtag, string? currentEtag)
            : base(errorMsg)
        {
            StoredEtag = storedEtag;
            CurrentEtag = currentEtag;
        }

        /// <summary>The tag found in storage.</summary>
        public string? StoredEtag { get; }

        /// <summary>The tag that the writer had.</summary>
        public string? CurrentEtag { get; }

        /// <summary>Whether the activation that met the conflict has still to end; callers up the chain merely see the exception.</summary>
        internal bool IsSourceActivation { get; set; } = true;
    }
}
